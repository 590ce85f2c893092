"""Compare a roster file with a stage, and plan the writes. A plan exists only if all of the file can be applied."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from local.roster.entries import BODIES, Change, Fields, Place, Plan, RosterError, Stage

# TOML has no null. In a file, "" stands for it, which is no other value of these fields.
_NULLABLE: Final = frozenset(("max_output_tokens", "temperature", "chair_key"))


def make_plan(path: Path, named: Mapping[Place, Fields], stage: Stage) -> Plan:
    """The changes that make the stage's entries those of the file.

    Args:
        named: Per entry of the file: the fields that it names.

    Raises RosterError with a line for each fault.
    """
    faults: list[str] = []
    wanted: dict[Place, Fields] = {}
    for place, fields in named.items():
        try:
            wanted[place] = _complete(place, fields, stage)
        except ValidationError as error:
            faults += [f"{path}: {place} {line}" for line in _fault_lines(error)]
    in_order = [place for group in BODIES for place in sorted(wanted) if place.group == group]
    changes = [Change(place, stage.entries.get(place), wanted[place]) for place in in_order]
    changes = [change for change in changes if change.old is None or change.changed]
    known = {*named, *stage.entries}
    faults += [f"{path}: {change.place} {line}" for change in changes for line in _misfits(change, known, stage)]
    if faults:
        raise RosterError(*faults)
    return Plan(tuple(changes), len(wanted) - len(changes))


def _complete(place: Place, fields: Fields, stage: Stage) -> Fields:
    """Every field: the file's value, else the stage's, else the API's default. Raises ValidationError."""
    given: dict[str, Any] = {}
    if old := stage.entries.get(place):
        given |= old.fields
    given |= {name: None if value == "" and name in _NULLABLE else value for name, value in fields.items()}
    return BODIES[place.group].model_validate(given).model_dump()


def _fault_lines(error: ValidationError) -> Iterator[str]:
    for fault in error.errors(include_input=False, include_url=False):
        yield f"{'.'.join(map(str, fault['loc']))[:100]}: {_reason(fault)}"


def _reason(fault: ErrorDetails) -> str:
    match fault["type"]:
        case "missing":
            return "is missing, which a new entry needs"
        case "extra_forbidden":
            return "is no field of this table"
        case "too_short" | "string_too_short":
            return "must not be empty"
        case "too_long" | "string_too_long":
            return f"must have at most {fault['ctx']['max_length']} characters or entries"
    return fault["msg"].replace("Input should", "must")


def _misfits(change: Change, known: set[Place], stage: Stage) -> Iterator[str]:
    """The faults that the stage would find in an entry."""
    place, new = change.place, change.new
    other = "councils" if place.group == "agents" else "agents"
    if Place(other, place.key) in known:
        yield f"key: there is [{other}.{place.key}], and agents and councils share their keys"
    if place.group == "councils":
        unknown = [key for key in new["agent_keys"] if Place("agents", key) not in known]
        if unknown:
            yield f"agent_keys: there is no agent {', '.join(unknown)}, neither in the file nor at the stage"
        return
    cap = stage.caps.get(new["model_alias"])
    if cap is None:
        yield f"model_alias: must be one of: {', '.join(stage.caps)}"
    elif (new["max_output_tokens"] or 0) > cap:
        yield f"max_output_tokens: must be at most {cap}, the cap of the alias '{new['model_alias']}'"
