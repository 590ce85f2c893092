"""Compare a roster file with a stage, and plan the writes. A plan exists only if all of the file can be applied."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from local.roster.entries import Change, Fields, Place, Plan, RosterError, Stage
from shared.roster.bodies import AgentBody, find_cap_fault
from shared.roster.file import TABLES, fault_lines

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
            faults += [f"{path}: {place} {line}" for line in fault_lines(error)]
    in_order = [place for group in TABLES for place in sorted(wanted) if place.group == group]
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
    return TABLES[place.group].model_validate(given).model_dump()


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
    agent = AgentBody.model_validate(new)
    if fault := find_cap_fault(agent, stage.caps):
        yield f"{fault[0]}: {fault[1]}"
