"""Forced interleavings: of two connections at one turn, one stops with its locks held, and the other one starts.

Every step of a runner is paired with each process that can work on its turn, and each of the two goes first once. A
runner that meets its own successor has lost its lease, and records a late outcome.
"""

import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations_with_replacement, product
from types import MappingProxyType
from uuid import UUID

from shared.names import Role
from tests.faults import events
from tests.faults.actor import Actor, Answer, Job, Paused, TookTooLong
from tests.faults.checks import Finding
from tests.faults.matrix import Tally
from tests.faults.scenarios import SCENARIOS
from tests.faults.turn import TurnUnderFault
from tests.faults.world import World

# The steps of a runner: how its turn is posted, and the step at which the other process starts.
_RUNNER: Mapping[str, str] = MappingProxyType(
    {"ask": "sequential", "publish": "one agent", "release": "handed over", "record": "sequential"}
)
# The other processes: a claim up to its lock, a whole claim, and the steps after it.
_OTHERS = ("claim locked", "claim", "cancel", "delete", "successor's ask", "successor's publish")
# The steps of a process that finds a turn without a runner.
_FOUND = ("claim", "cancel", "delete")
_BLOCKED = """SELECT 1 FROM pg_stat_activity
    WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0"""
_TERMINATE = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = %s"
# The wait for a process that does not block and does not end.
_PATIENCE_S = 3.0


@dataclass(frozen=True)
class Pair:
    first: str
    second: str


@dataclass
class _Part:
    """A process that is at `step`. `holds` is the part of the step that is done before the other process starts."""

    step: str
    holds: str
    actor: Actor
    job: Job
    answer: Answer | None = None


def all_pairs() -> Iterator[Pair]:
    for runner, other in product(_RUNNER, _OTHERS):
        yield Pair(runner, other)
        yield Pair(other, runner)
    for one, other in combinations_with_replacement(_FOUND, 2):
        yield Pair(f"found: {one}", f"found: {other}")
        if one != other:
            yield Pair(f"found: {other}", f"found: {one}")
    for second in ("another key", "the same key", "delete"):
        yield Pair("accept", f"accept: {second}")
    yield Pair("accept: delete", "accept")


# If the claim is second, only one of its forms can occur.
PAIRS = [pair for pair in all_pairs() if pair.second != "claim locked"]


def pairs(world: World, tally: Tally, rng: random.Random) -> None:
    """Try each pair once, in any order."""
    order = rng.sample(range(len(PAIRS)), len(PAIRS))
    while not tally.done:
        pair = PAIRS[order[tally.rounds % len(PAIRS)]]
        names = (pair.first, pair.second)
        runner = next((_RUNNER[name] for name in names if name in _RUNNER), "sequential")
        turn = TurnUnderFault.begin(world, SCENARIOS[runner], rng)
        parts = _prepare(turn, names)
        waited = _meet(turn, *parts)
        found = [finding for part in parts for finding in _finish(turn, part)]
        found += _kept(turn, parts)
        turn.bring_to_end()
        more = [(kind, f"{pair}: {text}") for kind, text in found]
        tally.add(world, turn, kind="waited" if waited else "passed", more=more)


def _prepare(turn: TurnUnderFault, names: tuple[str, str]) -> list[_Part]:
    """Bring both processes to their statements, in the order of their names."""
    turn.deleted = any("delete" in name for name in names)
    if any(name.startswith("accept") for name in names):
        return [_accepting(turn, name) for name in names]
    if names[0].startswith("found: "):
        turn.run(turn.post_job(("after call", 1)))
        _expire(turn)
        return [_other(turn, name.removeprefix("found: ")) for name in names]
    # The runner was first.
    parts = {name: _runner(turn, name) for name in names if name in _RUNNER}
    if not any(name in ("cancel", "delete") for name in names):
        _expire(turn)
    parts |= {name: _other(turn, name) for name in names if name not in parts}
    return [parts[name] for name in names]


def _accepting(turn: TurnUnderFault, name: str) -> _Part:
    if name == "accept: delete":
        return _at(turn, Job("api", events.delete_session(turn.session_id)), "delete")
    job = turn.post_job()
    if name == "accept: another key":
        job = Job("turns", events.post_turn(turn.session_id, turn.scenario.message, turn.key + "-other"))
    return _at(turn, job, "accept")


def _runner(turn: TurnUnderFault, step: str) -> _Part:
    if step != "record":
        return _at(turn, turn.post_job(), step)
    # An outcome is sent alone if the commit that it should have shared has failed.
    part = _at(turn, turn.post_job(), "ask")
    part.actor.go_on(("within ask", 1))
    assert isinstance(part.actor.wait(), Paused)
    turn.world.rows(_TERMINATE, Role.APP)
    part.actor.go_on(("before record", 1))
    assert isinstance(part.actor.wait(), Paused)
    return _Part("record", "record", part.actor, part.job)


def _other(turn: TurnUnderFault, name: str) -> _Part:
    turn_id = _id(turn)
    match name:
        case "cancel":
            return _at(turn, Job("api", events.cancel_turn(turn_id)), "cancel")
        case "delete":
            return _at(turn, Job("api", events.delete_session(turn.session_id)), "delete")
    return _at(turn, Job("worker", events.deliver(turn_id)), name.removeprefix("successor's "))


def _at(turn: TurnUnderFault, job: Job, holds: str) -> _Part:
    """Let a process run to a step, or to its answer if it never gets to the step."""
    actor, step = turn.actor(), holds.partition(" ")[0]
    job = Job(job.function, job.event, (f"before {step}", 1), "pause", job.seconds_left)
    actor.send(job)
    event = actor.wait()
    return _Part(step, holds, actor, job, event if isinstance(event, Answer) else None)


def _meet(turn: TurnUnderFault, first: _Part, second: _Part) -> bool:
    """Let `first` hold its uncommitted work until `second` waits for it or has passed. Returns whether `second`
    waited.
    """
    waits = False
    assert first.answer is second.answer is None, "they do not meet"
    first.actor.go_on((f"within {first.holds}", 1))
    assert isinstance(first.actor.wait(), Paused), "it holds nothing"
    second.actor.go_on()
    deadline = time.monotonic() + _PATIENCE_S
    while not waits and not second.actor.has_answered(0.005) and time.monotonic() < deadline:
        waits = bool(turn.world.rows(_BLOCKED))
    first.actor.go_on()
    return waits


def _finish(turn: TurnUnderFault, part: _Part) -> list[Finding]:
    if part.answer is None:
        try:
            event = part.actor.wait()
        except TookTooLong:
            return [("stuck", f"who came to '{part.step}' did not come back")]
        if not isinstance(event, Answer):
            return [("stuck", f"who came to '{part.step}' died")]
        part.answer = event
    turn.world.give_back(part.actor)
    turn.look()
    if part.job.function == "turns" and part.answer.status not in (404, 409, 410):
        turn.told.append(part.answer)
    expected = {"turns": (201, 202, 404, 409, 410, 503), "api": (202, 204, 404, 409), "worker": (0,)}[part.job.function]
    if part.answer.status not in expected or part.answer.returned.get("batchItemFailures"):
        return [("told", f"who came to '{part.step}' was answered {part.answer.returned}")]
    return []


def _kept(turn: TurnUnderFault, parts: list[_Part]) -> list[Finding]:
    """Check that no call begins after a cancel or a delete, and that a deleted session leaves no text."""
    row = turn.row()
    if row is None:
        return []
    found: list[Finding] = []
    marks = [mark for mark in (row["cancel_requested_at"], row["deleted_at"]) if mark]
    calls = turn.world.rows("SELECT call_id, created_at FROM llm_calls WHERE turn_id = %s", row["id"])
    found += [
        ("unwanted", f"call {call['call_id']} was begun after the mark")
        for call in calls
        if marks and call["created_at"] > min(marks)
    ]
    cancelled = [part for part in parts if part.step == "cancel" and part.answer and part.answer.status == 202]
    if cancelled and row["status"] == "completed":
        found.append(("unwanted", f"turn {row['id']} was cancelled and is completed"))
    return found


def _expire(turn: TurnUnderFault) -> None:
    turn.world.expire_lease(_id(turn))


def _id(turn: TurnUnderFault) -> UUID:
    row = turn.row()
    assert row is not None
    turn_id: UUID = row["id"]
    return turn_id
