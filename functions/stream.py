"""A response that a function streams. A handler returns this or the dict of a buffered response."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Stream:
    """`body` is read to its end or closed, always: the invocation lasts until then. Each piece is sent at once."""

    status: int
    headers: Mapping[str, str]
    body: Iterator[bytes]
    cookies: Sequence[str] = field(default=())
