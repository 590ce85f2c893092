"""Read log files to their end, and then the lines that are added later."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from local.logs.entry import Entry, read

# The most bytes of a line. The rest of a longer line counts as another line.
_LONGEST: Final = 1024 * 1024


def log_files(data_dir: Path) -> dict[str, Path]:
    """Return the logs by source. Call it again to find new logs."""
    found = {path.stem: path for path in sorted((data_dir / "log").glob("*.log"))}
    return {**found, "postgres": data_dir / "postgres" / "server.log"}


@dataclass(slots=True)
class _Position:
    """A place in a log. A new file at the same path has another `inode`."""

    inode: int = 0
    offset: int = 0


class Follower:
    """Read the entries since the last call of `new_entries`, oldest first. Raises OSError."""

    def __init__(self, data_dir: Path, *, from_end: bool) -> None:
        self._data_dir = data_dir
        self._positions: dict[str, _Position] = {}
        if from_end:
            for source, path in log_files(data_dir).items():
                if path.exists():
                    place = path.stat()
                    self._positions[source] = _Position(place.st_ino, place.st_size)

    def new_entries(self) -> list[Entry]:
        entries = [entry for source, path in log_files(self._data_dir).items() for entry in self._read(source, path)]
        return sorted(entries, key=lambda entry: entry.time)

    def _read(self, source: str, path: Path) -> Iterator[Entry]:
        position = self._positions.setdefault(source, _Position())
        try:
            place = path.stat()
        except FileNotFoundError:
            return
        if place.st_ino != position.inode or place.st_size < position.offset:
            # The file is new, or a start has emptied it.
            position.inode, position.offset = place.st_ino, 0
        if place.st_size == position.offset:
            return
        with path.open("rb") as log:
            log.seek(position.offset)
            while line := log.readline(_LONGEST):
                if not line.endswith(b"\n") and len(line) < _LONGEST:
                    # The line is incomplete.
                    return
                position.offset += len(line)
                if text := line.decode(errors="replace").rstrip("\n"):
                    yield read(source, text, datetime.fromtimestamp(place.st_mtime, UTC))
