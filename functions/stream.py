"""A streamed response. A handler returns this, or the dict of a buffered response."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Stream:
    """A streamed response. The reader always reads `body` to its end or closes it. Each piece is sent at once."""

    status: int
    headers: Mapping[str, str]
    body: Iterator[bytes]
    cookies: Sequence[str] = field(default=())
