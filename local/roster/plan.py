"""Compare a roster file with a stage, and plan the writes. One fault in the file prevents a plan."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from local.roster.entries import Change, Fields, Place, Plan, RosterError, Stage
from shared.roster.bodies import AgentBody, find_cap_fault
from shared.roster.file import TABLES, fault_lines

# TOML has no null. A file writes "" for null in these fields, which have no other use for it.
_NULLABLE: Final = frozenset(("max_output_tokens", "temperature", "chair_key"))


def make_plan(path: Path, named: Mapping[Place, Fields], stage: Stage) -> Plan:
    """Return the changes that give the stage the file's entries.

    Args:
        named: The fields of the file, by entry.

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
    """Return all fields: the file's value, else the stage's, else the API's default. Raises ValidationError."""
    given: dict[str, Any] = {}
    if old := stage.entries.get(place):
        given |= old.fields
    given |= {name: None if value == "" and name in _NULLABLE else value for name, value in fields.items()}
    return TABLES[place.group].model_validate(given).model_dump()


def _misfits(change: Change, known: set[Place], stage: Stage) -> Iterator[str]:
    """Yield the faults for which the stage would refuse an entry."""
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
