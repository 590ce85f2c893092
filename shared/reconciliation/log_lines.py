"""A log, line by line, without ever holding more of it than a record may have."""

from collections.abc import Iterator
from typing import BinaryIO, Final

# A record of a call repeats its prompt and its answer, of 100 KB each at most.
LONGEST_LINE: Final = 4 * 1024 * 1024


def read_lines(log: BinaryIO) -> Iterator[bytes | None]:
    """The lines that are not empty; None for one that is too long."""
    while line := log.readline(LONGEST_LINE):
        if len(line) < LONGEST_LINE or line.endswith(b"\n"):
            if line.strip():
                yield line
            continue
        yield None
        while len(rest := log.readline(LONGEST_LINE)) == LONGEST_LINE and not rest.endswith(b"\n"):
            pass
