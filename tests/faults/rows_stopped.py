"""Faults by a stopped worker, as on a machine that pages or freezes it. It wakes after its lease."""

import random

from tests.faults.actor import Actor, Answer, Job
from tests.faults.checks import Finding
from tests.faults.matrix import Tally
from tests.faults.points import Target
from tests.faults.scenarios import SCENARIOS
from tests.faults.turn import TurnUnderFault
from tests.faults.world import World

_NAMES = (
    "sequential",
    "one agent",
    "after a retry",
    "orchestrator",
    "parallel",
    "council",
    "summary",
    "handed over",
    "attempts beyond the allowance",
    "orchestrator beyond it",
)
# A stopped client holds no transaction open: its statement has arrived, or it has not.
_HOLDS = "within "
_ASLEEP_S = 0.3


def stopped(world: World, tally: Tally, rng: random.Random) -> None:
    """Stop the worker at a point after its turn was accepted.

    It wakes after its successor has ended the turn, or while the successor runs it.
    """
    traces = {name: _trace(world, name, rng) for name in _NAMES}
    while not tally.done:
        name = rng.choice(_NAMES)
        turn = TurnUnderFault.begin(world, SCENARIOS[name], rng)
        zombie, job = turn.actor(), turn.post_job(_a_point(traces[name], rng), "stop")
        zombie.send(job)
        if not zombie.wait_until_stopped():
            # Some orders of parallel calls lack some points.
            turn.finish(zombie, job)
            continue
        row = turn.row()
        assert row is not None
        world.expire_lease(row["id"])
        in_the_middle = tally.rounds % 2 == 1 and not turn.ended()
        found = _meet(turn, zombie, job, rng) if in_the_middle else _come_late(turn, zombie, job)
        turn.bring_to_end()
        tally.add(world, turn, kind="in the middle" if in_the_middle else "after the end", more=found)


def _trace(world: World, name: str, rng: random.Random) -> tuple[str, ...]:
    turn = TurnUnderFault.begin(world, SCENARIOS[name], rng)
    answer = turn.run(turn.post_job())
    assert isinstance(answer, Answer)
    turn.bring_to_end()
    return answer.trace


def _a_point(trace: tuple[str, ...], rng: random.Random) -> Target:
    """Return a point after the acceptance, by name. By number, parallel calls in another order would hold locks
    there.
    """
    accepted = trace.index("after accept")
    number = rng.choice([at for at, point in enumerate(trace) if at >= accepted and not point.startswith(_HOLDS)])
    return trace[number], trace[: number + 1].count(trace[number])


def _come_late(turn: TurnUnderFault, zombie: Actor, job: Job) -> list[Finding]:
    """Let the successor end the turn first."""
    written = _calls(turn)
    turn.resume()
    turn.requests += turn.world.requests()
    before, stored = _calls(turn), turn.row()
    zombie.wake()
    turn.finish(zombie, job)
    late = turn.world.requests()
    turn.requests += late
    found: list[Finding] = []
    # A record that was written before the stop may have been on its way.
    began = {call_id for call_id, finished in written.items() if not finished}
    if _calls(turn).keys() != before.keys() or {each["client_request_id"] for each in late} - began:
        found.append(("zombie asked", f"a call was begun for turn {stored and stored['id']} by who had lost it"))
    if turn.row() != stored:
        found.append(("double", f"turn {stored and stored['id']} was changed by who had lost it"))
    return found + _outcomes(turn, began)


def _meet(turn: TurnUnderFault, zombie: Actor, job: Job, rng: random.Random) -> list[Finding]:
    """Wake the worker while its successor is anywhere in the turn."""
    began = {call_id for call_id, finished in _calls(turn).items() if not finished}
    successor = turn.actor()
    take_over = turn.deliver_job(rng.randrange(2, 26), "pause")
    successor.send(take_over)
    paused = not isinstance(event := successor.wait(), Answer)
    zombie.wake()
    if paused:
        # The worker may wait for a lock of the successor.
        zombie.has_answered(_ASLEEP_S)
        successor.go_on()
        turn.finish(successor, take_over)
    else:
        turn.world.give_back(successor)
    assert event is not None
    turn.finish(zombie, job)
    return _outcomes(turn, began)


def _calls(turn: TurnUnderFault) -> dict[str, bool]:
    """Return every call of the turn, and whether its outcome is known."""
    rows = turn.world.rows(
        """SELECT call_id, finished_at IS NOT NULL AS finished FROM llm_calls
        WHERE turn_id = (SELECT id FROM turns WHERE idempotency_key = %s)""",
        turn.key,
    )
    return {str(row["call_id"]): row["finished"] for row in rows}


def _outcomes(turn: TurnUnderFault, began: set[str]) -> list[Finding]:
    """Check that the outcomes of the worker's calls are kept."""
    finished = _calls(turn)
    return [("lost outcome", f"the outcome of call {call_id} was lost") for call_id in began if not finished[call_id]]
