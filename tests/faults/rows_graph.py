"""Turns of graphs: SIGKILL at every point, and again in recovery. They need the extra `graphs`."""

import json
import random
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from tests.faults.checks import Finding, broken_invariants
from tests.faults.events import TENANT
from tests.faults.matrix import FaultRow, Tally
from tests.faults.rows_kill import count_points
from tests.faults.sabotage import Sabotage
from tests.faults.scenarios import CRITIC, WRITER, Scenario
from tests.faults.turn import ENDED, TurnUnderFault
from tests.faults.world import Rule, World
from tests.support.fake_provider import moods

_LONG = " ".join(["word"] * 800)
SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        "graph": Scenario("hello", "graph:line"),
        "graph of branches": Scenario("hello", "graph:branches"),
        "graph with a loop": Scenario("hello", "graph:loop"),
        "graph after retries": Scenario("hello", "graph:line", rules=(Rule(moods.status(500), WRITER),)),
        "graph after a failed step": Scenario(
            "hello", "graph:branches", rules=(Rule(moods.status(400), CRITIC, None),)
        ),
        "graph and summary": Scenario(_LONG, "graph:line"),
    }
)
_STATES = "SELECT checkpoint -> 'channel_values' ->> 'count' AS count FROM checkpoints WHERE thread_id = %s"


def kill_graph(world: World, tally: Tally, rng: random.Random) -> None:
    """Kill at every point of every graph once, in any order, and half of the next runners at another point."""
    points: list[tuple[str, int, int]] = []
    while not tally.done:
        if not points:
            for name in rng.sample(list(SCENARIOS), len(SCENARIOS)):
                posted, delivered = count_points(world, SCENARIOS[name], rng)
                points += [(name, 0, point) for point in range(posted)] + [(name, 1, at) for at in range(delivered)]
            rng.shuffle(points)
        name, leg, point = points.pop()
        turn = TurnUnderFault.begin(world, SCENARIOS[name], rng)
        turn.run(turn.post_job(point if leg == 0 else None))
        if leg == 1 and not turn.ended():
            turn.run(turn.deliver_job(point))
        found = [*broken_invariants(world), *_half(turn)]
        row = turn.row()
        if row is not None and not turn.ended() and rng.random() < 0.5:
            world.expire_lease(row["id"])
            turn.run(turn.deliver_job(rng.randrange(0, 32)))
            found += _half(turn)
        turn.bring_to_end()
        tally.add(world, turn, kind=name, more=[*found, *_ended(turn)])


def _states(turn: TurnUnderFault) -> list[str]:
    return [row["count"] for row in turn.world.rows(_STATES, f"{TENANT}:{turn.session_id}")]


def _half(turn: TurnUnderFault) -> Iterator[Finding]:
    """Check that no state is visible before its turn has ended."""
    # Read the state first, because a turn that ends in between has one.
    states, row = _states(turn), turn.row()
    if states and row is not None and row["status"] not in ENDED:
        yield "state", f"turn {row['id']} is {row['status']}, and its session has a state"


def _ended(turn: TurnUnderFault) -> Iterator[Finding]:
    """Check that the session's state counts a completed turn once, and that no fault makes a deterministic graph
    diverge.
    """
    row = turn.row()
    if row is None or row["status"] not in ENDED:
        return
    states, expected = _states(turn), ["1"] if row["status"] == "completed" else []
    if states != expected:
        yield "state", f"turn {row['id']} is {row['status']}, and its session has the states {states}"
    error = json.loads(row["response"])["error"]
    if error is not None and error["code"] != "no_reply":
        yield "diverged", f"turn {row['id']} ended as {error['code']}"


def _plan_kept() -> None:
    """Keep the plan of the first ask."""
    from tests.support.sql_edits import apply, edited

    grown = (
        "CASE WHEN :t_plan::jsonb ->> 'source' = 'graph' THEN :t_plan::jsonb ELSE coalesce(plan, :t_plan::jsonb) END"
    )
    apply({"open": edited("open", grown, "coalesce(plan, :t_plan::jsonb)")})


def _state_at_once() -> None:
    """Store the state when the graph ends, before its turn does."""
    from functions.graphs.checkpoints import Checkpoints
    from shared.db.statement import Part, Statement
    from shared.orchestration.steps import Ended
    from tests.faults.replaced import replaced

    put = Statement(
        Part(
            "put",
            """INSERT INTO public.checkpoints (thread_id, checkpoint_id, checkpoint)
            SELECT $1, s.checkpoint_id, s.checkpoint
            FROM jsonb_to_record($2::jsonb) s (checkpoint_id text, checkpoint jsonb)
            ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id) DO NOTHING""",
            ("thread", "state"),
        )
    )
    keep: Callable[..., None] = Checkpoints.keep

    def keep_(own: Checkpoints, saver: Any, thread: Any, ended: Ended) -> None:
        keep(own, saver, thread, ended)
        own._db.run(thread[0], put, {"thread": f"{thread[0]}:{thread[1]}", "state": ended.state})

    replaced(Checkpoints, keep=keep_)


def _without_replay() -> None:
    from tests.faults.sabotage import SABOTAGES

    SABOTAGES["verdicts"].commit()


def _unjournaled() -> None:
    from tests.faults.sabotage import SABOTAGES

    SABOTAGES["journal"].commit()


ROWS: Mapping[str, FaultRow] = MappingProxyType(
    {"graph": FaultRow("a graph's runner killed at every point, and again", 2_000, 24, kill_graph)}
)
CONTROLS: Mapping[str, Sabotage] = MappingProxyType(
    {
        "graph-plan": Sabotage("a graph's plan does not grow", _plan_kept, "graph", frozenset({"plan", "diverged"})),
        "graph-state": Sabotage(
            "a graph's state stored before its turn", _state_at_once, "graph", frozenset({"state"})
        ),
        "graph-verdicts": Sabotage(
            "a graph's answers not replayed", _without_replay, "graph", frozenset({"asked again"})
        ),
        "graph-journal": Sabotage("journal off in a graph", _unjournaled, "graph", frozenset({"lost"})),
    }
)
