"""Read a log line by line, with at most one record in memory."""

from collections.abc import Iterator
from typing import BinaryIO, Final

# In bytes. A record repeats its prompt and its answer, of at most 100 KB each.
LONGEST_LINE: Final = 4 * 1024 * 1024


def read_lines(log: BinaryIO) -> Iterator[bytes | None]:
    """Yield the lines that are not empty, and None for a too long one."""
    while line := log.readline(LONGEST_LINE):
        if len(line) < LONGEST_LINE or line.endswith(b"\n"):
            if line.strip():
                yield line
            continue
        yield None
        while len(rest := log.readline(LONGEST_LINE)) == LONGEST_LINE and not rest.endswith(b"\n"):
            pass
