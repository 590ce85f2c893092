"""Money under faults: what accepting a turn holds, and what an unknown outcome holds until it is settled."""

import io
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import timedelta
from decimal import Decimal
from itertools import product

import psycopg

from shared.db.engine import Database
from shared.names import Env
from shared.reconciliation.plain_log import read_plain_log
from shared.reconciliation.reconcile import reconcile
from tests.faults import events
from tests.faults.actor import Job
from tests.faults.checks import Finding
from tests.faults.forked import Forked, fork
from tests.faults.matrix import Tally
from tests.faults.rows_kill import count_points
from tests.faults.sabotage import SABOTAGES
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.turn import ENDED, TurnUnderFault
from tests.faults.world import World

# Turns that are accepted before their first agent is known or asked.
_WITHOUT_AGENT = ("orchestrator", "without a manager", "orchestrator beyond it", "posted for later")
_HOLD = """SELECT t.id, t.status, h.held_usd,
        (SELECT min(reserve_usd) FILTER (WHERE step = first) FROM (
            SELECT reserve_usd, step, min(step) OVER () AS first FROM llm_calls
            WHERE turn_id = t.id AND purpose = 'agent'
        ) c) AS asked_usd
    FROM turns t LEFT JOIN budget_holds h ON h.id = t.id AND h.reason = 'accepted'
    WHERE idempotency_key = %s"""
_SUSPENDED = """SELECT c.call_id, c.reserve_usd, h.held_usd, h.payer FROM llm_calls c
    JOIN turns t ON t.id = c.turn_id LEFT JOIN budget_holds h ON h.id = c.call_id
    WHERE t.idempotency_key = %s AND c.status = 'unknown'"""
_ADJUSTED = """SELECT account, count(*) AS times FROM usage_ledger
    WHERE call_id = %s AND kind = 'adjustment' AND amount_usd <> 0 GROUP BY account ORDER BY account"""
_BLOCKED = """SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0"""
_TERMINATE = f"SELECT pg_terminate_backend(pid, 10000) FROM ({_BLOCKED}) blocked"
_PATIENCE_S = 10.0
_ENDS = ("killed", "terminated", "twice", "late")
_ALLOWANCES = {"beyond": Decimal(0), "within": None}
SETTLEMENTS = [*product(_ENDS, _ALLOWANCES)]


def held(world: World, tally: Tally, rng: random.Random) -> None:
    """Kill a turn at every point. Then kill its next runner, or cancel the turn before that runner starts."""
    cases: list[tuple[str, int, bool]] = []
    while not tally.done:
        if not cases:
            points = {name: count_points(world, SCENARIOS[name], rng)[0] for name in _WITHOUT_AGENT}
            cases = [(name, at, cancels) for name in points for at in range(points[name]) for cancels in (True, False)]
            rng.shuffle(cases)
        name, at, cancels = cases.pop()
        turn, seen = TurnUnderFault.begin(world, SCENARIOS[name], rng), list[Decimal]()
        turn.run(turn.post_job(at))
        found = [*_hold(turn, seen)]
        row = turn.row()
        if row is not None and row["status"] not in ENDED:
            if cancels:
                turn.run(Job("api", events.cancel_turn(row["id"])))
            world.expire_lease(row["id"])
            turn.run(turn.deliver_job(rng.randrange(0, 24)))
            found += _hold(turn, seen)
        turn.bring_to_end()
        tally.add(world, turn, kind="cancelled" if cancels else "killed again", more=[*found, *_hold(turn, seen)])


def _hold(turn: TurnUnderFault, seen: list[Decimal]) -> Iterator[Finding]:
    """Check that a turn holds one amount from its acceptance until its first agent is asked, and that it covers the
    agent.
    """
    for row in turn.world.rows(_HOLD, turn.key):
        due = row["status"] not in ENDED and row["asked_usd"] is None
        if due != (row["held_usd"] is not None):
            yield "hold", f"turn {row['id']}, {row['status']}, holds {row['held_usd']}, and asked {row['asked_usd']}"
        seen += [row["held_usd"]] if row["held_usd"] else []
        if len(set(seen)) > 1 or (seen and row["asked_usd"] and row["asked_usd"] > seen[0]):
            yield "hold", f"turn {row['id']} held {seen}, and its first agent {row['asked_usd']}"


def suspense(world: World, tally: Tally, rng: random.Random) -> None:
    """Settle a call whose process died or slept after the answer, while the turn ended without it.

    The call is settled by a reconciler that dies, by two reconcilers at once, or by a reconciler and the late process
    at once.
    """
    while not tally.done:
        end, allowance = SETTLEMENTS[tally.rounds % len(SETTLEMENTS)]
        turn = TurnUnderFault.begin(world, Scenario("@writer hello", allowance_usd=_ALLOWANCES[allowance]), rng)
        sleeper, job = turn.actor(), turn.post_job(("after call", 1), "pause" if end == "late" else "kill")
        sleeper.send(job)
        sleeper.wait()
        turn.resume()
        turn.requests += world.requests()
        payer = "platform" if allowance == "within" else "tenant"
        calls = world.rows(_SUSPENDED, turn.key)
        found = [
            ("hold", f"call {call['call_id']} is unknown, and {call['payer']} holds {call['held_usd']}")
            for call in calls
            if (call["payer"], call["held_usd"]) != (f"{payer}:{events.TENANT}", call["reserve_usd"])
        ]
        if len(calls) != 1:
            found.append(("suspense", f"turn {turn.key} has {len(calls)} calls in suspense"))
        _settle(world, end, sleeper.go_on)
        if end == "late":
            turn.finish(sleeper, job)
        turn.bring_to_end()
        # A reconciler runs last. It may find nothing to do.
        _reconciler(world).reap()
        found += [finding for call in calls for finding in _settled(world, call["call_id"], payer)]
        tally.add(world, turn, kind=f"{end}, {allowance}", more=found)


def _settle(world: World, end: str, wake: Callable[[], None]) -> None:
    """Let several processes settle the call while its payer's month is locked, so that all of them are in the middle of
    it.
    """
    comers = 1 if end in ("killed", "terminated") else 2
    with ExitStack() as stack:
        lock = stack.enter_context(psycopg.connect(world.owner_url))
        lock.execute("SELECT FROM budgets FOR UPDATE")
        if end == "late":
            wake()
        reconcilers = [_reconciler(world) for _ in range(2 if end == "twice" else 1)]
        deadline = time.monotonic() + _PATIENCE_S
        while len(world.rows(_BLOCKED)) < comers and time.monotonic() < deadline:
            time.sleep(0.005)
        if end == "killed":
            reconcilers[0].kill()
        if end == "terminated":
            world.rows(_TERMINATE)
    for reconciler in reconcilers:
        reconciler.reap()


def _reconciler(world: World) -> Forked:
    """Start a process that reads the provider's log."""
    log, url, sabotaged = world.log_since_renewal(), world.environ({})[Env.OPS_DATABASE_URL], world.sabotaged

    def serve(_: object) -> None:
        if sabotaged is not None:
            SABOTAGES[sabotaged].commit()
        with suppress(Exception):
            reconcile(Database(url), read_plain_log(io.BytesIO(log)), silent_after=timedelta(0))

    return fork(serve)


def _settled(world: World, call_id: object, payer: str) -> Iterator[Finding]:
    """Check that the call left suspense once, for the account that held its reserve, and that nothing is held
    any more.
    """
    moved = [(row["account"], row["times"]) for row in world.rows(_ADJUSTED, call_id)]
    if moved != sorted([(payer, 1), ("suspense", 1)]):
        yield "double", f"call {call_id} was settled as {moved}"
    if held_usd := world.rows("SELECT held_usd FROM budget_holds WHERE id = %s", call_id):
        yield "hold", f"call {call_id} was settled, and holds {held_usd}"
