"""Checks that reconciliation with the provider's log empties suspense, and that amounts are equal call by call."""

import io
import random
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from shared.db.engine import Row
from shared.domain.money import Usage, cost, rates_from_dict
from shared.reconciliation.plain_log import read_plain_log
from shared.reconciliation.reconcile import Findings, reconcile
from tests.faults.checks import Finding, broken_invariants
from tests.faults.scenarios import SCENARIOS
from tests.faults.turn import TurnUnderFault
from tests.faults.world import World

# A missing call counts as free only if the log has other calls of its model and hour.
_AT_ONCE = timedelta(0)


def settle(world: World) -> tuple[int, list[Finding]]:
    """Reconcile all calls since the world was renewed. Returns the number of calls that left suspense, and the
    findings.
    """
    turn = TurnUnderFault.begin(world, SCENARIOS["parallel"], random.Random(0))
    turn.run(turn.post_job())  # The log needs a call of every model.
    log = world.log_since_renewal()
    findings = reconcile(world.ops, read_plain_log(io.BytesIO(log)), silent_after=_AT_ONCE)
    found: list[Finding] = []
    if findings.unjournaled or findings.unreadable:
        found.append(("lost", f"the log has {findings.unjournaled}, and {findings.unreadable} lines that nobody reads"))
    if findings.drifted:
        found.append(("amount", f"the log has other tokens of {findings.drifted}"))
    requests = {request["call_id"]: request for request in world.parsed(log)}
    for call in world.rows("SELECT *, date_trunc('hour', created_at, 'UTC') AS hour FROM llm_calls"):
        found += _settled(call, requests.get(str(call["call_id"])), findings)
    return len(findings.settled), found + broken_invariants(world)


def _settled(call: Row, request: Mapping[str, Any] | None, findings: Findings) -> list[Finding]:
    if call["status"] in ("intent", "unknown"):
        covered = (call["provider"], call["model_id"], call["hour"]) in findings.covered
        return [("suspense", f"call {call['call_id']} is {call['status']}")] if request or covered else []
    return priced(call, request)


def priced(call: Row, request: Mapping[str, Any] | None) -> list[Finding]:
    """Compare the cost of each known outcome with the provider's charge for its request."""
    usage = Usage(**request["tokens"]) if request and request["billed"] else Usage()
    price = cost(rates_from_dict(call["rates"]), usage) if request else Decimal(0)
    if call["cost_usd"] != price:
        return [("amount", f"call {call['call_id']} costs {call['cost_usd']}, and by the provider's log {price}")]
    return []
