"""Compares the provider's own log with the journal and the ledger at the end of a run, before and after
reconciliation.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from shared.db.engine import Database, Row
from shared.domain.money import Usage, cost, rates_from_dict
from shared.reconciliation.plain_log import read_plain_log
from shared.reconciliation.reconcile import reconcile
from shared.settings import operations_settings
from tests.faults.checks import Finding
from tests.soak.hostile.tenants import Deployment
from tests.support.council_room import broken_invariants

# The log is complete, so a call that it does not have has cost nothing.
_AT_ONCE = timedelta(0)
# Each call with the sum of its entries in the ledger, by account.
_CALLS = b"""SELECT c.call_id, c.status, c.rates, c.reserve_usd,
    coalesce(sum(l.amount_usd) FILTER (WHERE l.account <> 'suspense'), 0) AS charged,
    coalesce(sum(l.amount_usd) FILTER (WHERE l.account = 'suspense'), 0) AS suspended
FROM llm_calls c LEFT JOIN usage_ledger l USING (call_id)
GROUP BY c.call_id"""
_BY_ACCOUNT = b"SELECT account, sum(amount_usd) AS usd FROM usage_ledger GROUP BY account"


@dataclass
class Books:
    """`calls` are in the log; `billed` is their price, `suspended` the reserves in suspense before reconciliation, and
    `charged` the ledger after it, by account. Amounts are in USD."""

    calls: int = 0
    settled: int = 0
    billed: Decimal = Decimal(0)
    suspended: Decimal = Decimal(0)
    charged: Mapping[str, Decimal] | None = None


def examine(deployment: Deployment) -> tuple[Books, list[Finding]]:
    """Return the findings once every turn has ended."""
    log = [json.loads(line) for line in deployment.log.read_bytes().splitlines()]
    books = Books(calls=len(log))
    found = [*compare(_load_calls(deployment), log, books, settled=False), *_invariants(deployment)]
    operations = Database(operations_settings().ops_database_url)
    with deployment.log.open("rb") as stored:
        findings = reconcile(operations, read_plain_log(stored), silent_after=_AT_ONCE)
    operations.close()
    if findings.unjournaled or findings.unreadable or findings.drifted:
        found.append(("lost", f"{findings.unjournaled}, {findings.unreadable} unreadable, {findings.drifted}"))
    books.settled = len(findings.settled)
    found += [*compare(_load_calls(deployment), log, books, settled=True), *_invariants(deployment)]
    books.charged = {row["account"]: row["usd"] for row in deployment.owner.execute(_BY_ACCOUNT)}
    return books, found


def compare(
    calls: Iterable[Row], log: Sequence[Mapping[str, Any]], books: Books, *, settled: bool
) -> Iterator[Finding]:
    """Compare each call and its entries in the ledger with the log. Until it is `settled`, an unknown outcome is in
    suspense at its reserve."""
    lines = {line["call_id"]: line for line in log}
    yield from (("lost", f"call {call} was sent {n} times") for call, n in _times(log).items() if n > 1)
    billed = charged = suspended = Decimal(0)
    for call in calls:
        line = lines.pop(str(call["call_id"]), None)
        price = _price(call, line)
        unknown = call["status"] == "unknown"
        billed += price
        charged += price if unknown else call["charged"]
        suspended += call["suspended"]
        if settled and unknown:
            yield "suspense", f"call {call['call_id']} is still unknown"
        expected = (Decimal(0), call["reserve_usd"]) if unknown else (price, Decimal(0))
        if (call["charged"], call["suspended"]) != expected:
            yield "amount", f"call {call['call_id']} is charged {call['charged']}, and the provider charges {price}"
        if price > call["reserve_usd"]:
            yield "amount", f"call {call['call_id']} costs {price}, and its reserve is {call['reserve_usd']}"
    yield from (("lost", f"the provider has call {call_id}, and the journal has not") for call_id in lines)
    if billed != charged:
        yield "amount", f"the provider charges {billed} USD, and the ledger with suspense has {charged}"
    books.billed = billed
    books.suspended = books.suspended if settled else suspended


def _load_calls(deployment: Deployment) -> Iterable[Row]:
    return deployment.owner.execute(_CALLS)


def _times(log: Sequence[Mapping[str, Any]]) -> Mapping[str, int]:
    return Counter(line["call_id"] for line in log)


def _price(call: Row, line: Mapping[str, Any] | None) -> Decimal:
    if line is None or not line["billed"]:
        return Decimal(0)
    return cost(rates_from_dict(call["rates"]), Usage(**line["tokens"]))


def _invariants(deployment: Deployment) -> Iterator[Finding]:
    for name, rows in broken_invariants(deployment.owner).items():
        yield "invariant", f"{name}: {rows[:3]}"
