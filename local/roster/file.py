"""Read the tables of a roster file. Values are checked later, when the fields that it leaves out are known."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from local.roster.entries import BODIES, Fields, Place, RosterError

_KEY: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")


def read_roster(path: Path) -> dict[Place, Fields]:
    """The fields that the file names, by entry. Raises RosterError with a line for each fault."""
    tables = _parse(path)
    if faults := [f"{path}: {fault}" for fault in _faults(tables)]:
        raise RosterError(*faults)
    return {Place(group, key): fields for group, entries in tables.items() for key, fields in entries.items()}


def _parse(path: Path) -> Mapping[str, Any]:
    try:
        # Editors on Windows begin a file with a byte order mark.
        return tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise RosterError(f"{path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise RosterError(f"{path}: is not UTF-8.") from error
    except ValueError as error:  # a number of more than 4,300 digits is none of tomllib's own errors
        raise RosterError(f"{path}: {error}.") from error
    except RecursionError as error:
        raise RosterError(f"{path}: has too many brackets within each other.") from error


def _faults(tables: Mapping[str, Any]) -> Iterator[str]:
    for group, entries in tables.items():
        if group not in BODIES:
            yield f"[{group}]: is no table of a roster; there are [agents.KEY] and [councils.KEY]"
        elif not isinstance(entries, dict):
            yield f"[{group}]: must have a table for each key, as in [{group}.KEY]"
        else:
            for key, fields in entries.items():
                if not _KEY.fullmatch(key):
                    yield f"[{group}.{key}]: a key is a small letter, then up to 31 small letters, digits, - and _"
                elif not isinstance(fields, dict):
                    yield f"[{group}.{key}]: must be a table"
