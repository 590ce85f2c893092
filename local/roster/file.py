"""Read a roster file for `pantheon apply`.

Values are checked later, together with the stage's values for fields that the file leaves out.
"""

from pathlib import Path

from local.roster.entries import Fields, Place, RosterError
from shared.errors import ConfigurationError
from shared.roster.file import misplaced, read_document


def read_fields(path: Path) -> dict[Place, Fields]:
    """Return the fields of the file by entry. Raises RosterError with a line for each fault."""
    try:
        document = read_document(path)
    except ConfigurationError as error:
        raise RosterError(error.detail) from error
    if faults := [f"{path}: {fault}" for fault in misplaced(document)]:
        raise RosterError(*faults)
    return {Place(group, key): fields for group, tables in document.items() for key, fields in tables.items()}
