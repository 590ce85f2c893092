"""Compares everything stored after each step with the step before, and reports forbidden changes."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from uuid import UUID

from shared.db.engine import Row
from tests.faults import checks
from tests.faults.checks import Finding
from tests.faults.events import TENANT
from tests.faults.reconciled import priced
from tests.faults.turn import ENDED
from tests.faults.world import World
from tests.soak.machine.model import DEFAULT_ALLOWANCE_USD, DEFAULT_CAP_USD

_TURNS, _CALLS, _LEDGER = (
    b"SELECT * FROM turns",
    b"SELECT * FROM llm_calls ORDER BY turn_id, step, attempt",
    b"SELECT * FROM usage_ledger",
)
# The platform's limit is a switch: once it is spent, the share may not rise at all.
_MONEY = f"""SELECT p.payer, coalesce(sum(b.held_usd), 0) AS held_usd, coalesce(sum(b.spent_usd), 0) AS spent_usd,
        (SELECT coalesce(sum(held_usd), 0) FROM budget_holds h WHERE h.payer = p.payer AND reason = 'suspense')
            AS suspended_usd,
        CASE WHEN starts_with(p.payer, 'platform:') AND EXISTS (
            SELECT FROM budget_limits
            WHERE payer = 'platform' AND limit_usd <= coalesce((SELECT sum(spent_usd) FROM platform_months), 0)
        ) THEN 0 ELSE least(max(l.limit_usd), coalesce(max(l.cap_usd), p.usual)) END AS most_usd
    FROM (
        VALUES ('tenant:{TENANT}', {DEFAULT_CAP_USD}), ('platform:{TENANT}', {DEFAULT_ALLOWANCE_USD})
    ) p (payer, usual)
    LEFT JOIN budgets b USING (payer)
    LEFT JOIN budget_limits l USING (payer)
    GROUP BY p.payer, p.usual ORDER BY p.payer""".encode()
# The columns of an ended call that never change again.
_SETTLED = ("status", "cost_usd", "input_tokens", "output_tokens", "stop_reason", "error_code")
# After this number of fruitless claims a turn is given up without its answers. Its calls lose their verdict `reply`,
# and their error says why.
_FORFEITED = 3
_NONE: Mapping[Any, Row] = MappingProxyType({})


@dataclass(frozen=True)
class Month:
    """A payer's month in USD. `suspended_usd` is the part of `held_usd` for unknown outcomes; `most_usd` binds."""

    held_usd: Decimal
    spent_usd: Decimal
    suspended_usd: Decimal
    most_usd: Decimal

    @property
    def used_usd(self) -> Decimal:
        return self.held_usd + self.spent_usd

    @property
    def left_usd(self) -> Decimal:
        return self.most_usd - self.used_usd


_UNUSED = Month(Decimal(0), Decimal(0), Decimal(0), Decimal(0))


@dataclass(frozen=True)
class Snapshot:
    """All turns, calls and ledger rows, the tenant's month and that of the platform's share for it."""

    turns: Mapping[UUID, Row]
    calls: Mapping[UUID, Row]
    ledger: Mapping[int, Row]
    tenant: Month
    share: Month


class Watch:
    """`now` is the last snapshot."""

    def __init__(self, world: World) -> None:
        self.now = Snapshot(_NONE, _NONE, _NONE, _UNUSED, _UNUSED)
        self._world = world
        self._requests: list[dict[str, Any]] = []

    def look(self) -> list[Finding]:
        """Return the findings on the present state and on its changes."""
        before = self.now
        self.now, broken = self._snapshot()
        self._requests += self._world.requests()
        found = [("invariant", f"{row['name']}: {row['row']}") for row in broken]
        return [*found, *self._provider_log(), *changes(before, self.now)]

    def _snapshot(self) -> tuple[Snapshot, list[Row]]:
        """Read everything and the broken invariants in one round trip."""
        owner = self._world.owner
        with owner.pipeline():
            cursors = [owner.execute(query) for query in (_TURNS, _CALLS, _LEDGER, _MONEY, checks.BROKEN.encode())]
        turns, calls, ledger, money, broken = [cursor.fetchall() for cursor in cursors]
        share, tenant = (Month(**{name: usd for name, usd in row.items() if name != "payer"}) for row in money)
        now = Snapshot(
            {row["id"]: row for row in turns},
            {row["call_id"]: row for row in calls},
            {row["id"]: row for row in ledger},
            tenant,
            share,
        )
        return now, broken

    def _provider_log(self) -> Iterator[Finding]:
        """Check that each request in the provider's log is journaled once, with the provider's figures if they are
        known.
        """
        asked = Counter(request["client_request_id"] for request in self._requests)
        for call_id, times in asked.items():
            if times > 1 or UUID(call_id) not in self.now.calls:
                yield "lost", f"call {call_id} reached the provider {times} times, or is not in the journal"
        requests = {request["client_request_id"]: request for request in self._requests}
        by_turn: dict[UUID, list[Row]] = {}
        for call_id, call in self.now.calls.items():
            by_turn.setdefault(call["turn_id"], []).append(call)
            if call["status"] in ("succeeded", "unbilled"):
                yield from priced(call, requests.get(str(call_id)))
            elif call["status"] == "unknown" and call["cost_usd"] != call["reserve_usd"]:
                yield "amount", f"call {call_id} is unknown and not at its reserve"
        for calls in by_turn.values():
            yield from checks.verdicts(calls)


def changes(before: Snapshot, now: Snapshot) -> Iterator[Finding]:
    """Return the forbidden changes between two snapshots."""
    for kept in ("turns", "calls", "ledger"):
        if gone := getattr(before, kept).keys() - getattr(now, kept).keys():
            yield "gone", f"{kept} {sorted(map(str, gone))} are gone"
    for number, entry in before.ledger.items():
        if now.ledger.get(number) != entry:
            yield "ledger", f"entry {number} was {entry}"
    for turn_id, turn in before.turns.items():
        if turn_id in now.turns:
            yield from _turn(turn, now.turns[turn_id])
    for call_id, call in before.calls.items():
        if call_id in now.calls:
            yield from _call(call, now.calls[call_id], now.turns[call["turn_id"]])
    yield from _unwanted(now)
    for name, month, was in (("tenant", now.tenant, before.tenant), ("platform's share", now.share, before.share)):
        if month.used_usd > max(month.most_usd, was.used_usd):
            yield "budget", f"the {name} has used {month.used_usd} of {month.most_usd}, and {was.used_usd} before"


def _turn(was: Row, now: Row) -> Iterator[Finding]:
    name = f"turn {now['id']}"
    fixed = ("session_id", "turn_index", "idempotency_key", "fingerprint", "mode", "roster", "created_at")
    if changed := [column for column in fixed if was[column] != now[column]]:
        yield "changed", f"{name} has another {changed}"
    if now["lease_epoch"] < was["lease_epoch"]:
        yield "changed", f"{name} goes back to epoch {now['lease_epoch']} from {was['lease_epoch']}"
    for mark in ("cancel_requested_at", "deleted_at"):
        if was[mark] and not now[mark]:
            yield "changed", f"{name} has lost its {mark}"
    if was["plan"] and _selected(was) != _selected(now):
        yield "plan", f"{name} had plan {was['plan']}, and has {now['plan']}"
    if was["status"] in ENDED:
        told = now["response"] if now["deleted_at"] is None else was["response"]
        if (was["status"], was["response"], was["completed_at"]) != (now["status"], told, now["completed_at"]):
            yield "changed", f"{name} had ended as {was['status']}, and is {now['status']}"


def _selected(turn: Row) -> object:
    return turn["plan"] and (turn["plan"]["selected_agent_keys"], turn["plan"]["source"])


def _call(was: Row, now: Row, turn: Row) -> Iterator[Finding]:
    name = f"call {now['call_id']}"
    forfeited = turn["expired_claims"] > _FORFEITED and now["error_code"] == "turn_abandoned"
    settled = [column for column in _SETTLED if not (forfeited and column == "error_code")]
    if was["status"] in ("succeeded", "unbilled") and any(was[column] != now[column] for column in settled):
        yield "changed", f"{name} was {[was[column] for column in _SETTLED]}, and is {[now[c] for c in _SETTLED]}"
    if was["status"] == "unknown" and now["status"] == "intent":
        yield "changed", f"{name} was unknown, and is an intent"
    if was["verdict"] not in (None, now["verdict"]) and turn["expired_claims"] <= _FORFEITED:
        yield "changed", f"{name} had verdict {was['verdict']}, and has {now['verdict']}"


def _unwanted(now: Snapshot) -> Iterator[Finding]:
    """Check that no call begins after a cancel or a delete, and that a cancelled turn ends as cancelled."""
    for call in now.calls.values():
        turn = now.turns[call["turn_id"]]
        marks = [mark for mark in (turn["cancel_requested_at"], turn["deleted_at"]) if mark]
        # A session that was deleted after the turn's end did not mark the turn before it.
        if marks and call["created_at"] > min(marks):
            yield "unwanted", f"call {call['call_id']} was begun after the mark of turn {turn['id']}"
    for turn in now.turns.values():
        if turn["status"] in ENDED and turn["cancel_requested_at"] and turn["status"] != "cancelled":
            yield "unwanted", f"turn {turn['id']} was cancelled and is {turn['status']}"
