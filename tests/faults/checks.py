"""Checks a turn after a fault: the provider's log, the journal, the ledger and the client's answers must agree."""

import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from shared.db.engine import Row
from shared.db.operations.invariants import INVARIANTS
from tests.faults.heard import Heard
from tests.faults.live_checks import unlike
from tests.faults.turn import ENDED, TurnUnderFault
from tests.faults.world import World

Finding = tuple[str, str]
_MILLION = Decimal(1_000_000)
# The rows that break an invariant, in one round trip.
BROKEN = " UNION ALL ".join(
    f"SELECT '{name.replace(chr(39), chr(39) * 2)}' AS name, to_jsonb(broken) AS row FROM ({query}) broken"
    for name, query in INVARIANTS.items()
)
# The posts of a turn by payer. The payer of an unknown outcome holds its reserve; the release before holds none.
_BORNE = """SELECT l.call_id, l.reason, l.amount_usd,
        CASE l.account WHEN 'suspense' THEN split_part(h.payer, ':', 1) ELSE l.account END AS bearer
    FROM usage_entries l LEFT JOIN budget_holds h ON h.id = l.call_id AND h.reason = 'suspense'
    WHERE l.turn_id = %s AND l.kind = 'post'
        AND NOT EXISTS (SELECT FROM usage_ledger a WHERE a.turn_id = l.turn_id AND a.kind = 'adjustment')"""


def examine(turn: TurnUnderFault) -> list[Finding]:
    """Return the findings on the turn and on everything stored, each as a kind and a text."""
    return examine_turn(turn) + broken_invariants(turn.world)


def examine_turn(turn: TurnUnderFault) -> list[Finding]:
    """Return the findings on the turn alone."""
    row = turn.row()
    found = [*turn.findings, *_unjournaled(turn)]
    if row is None:
        return found if turn.deleted else [*found, ("stuck", f"key {turn.key} has no turn")]
    calls = turn.world.rows("SELECT * FROM llm_calls WHERE turn_id = %s ORDER BY step, attempt", row["id"])
    found += [*_amounts(turn.requests, calls), *verdicts(calls), *_plan(turn, row)]
    if row["status"] in ENDED:
        found += [*_told(turn, row), *_heard(turn, row), *_response(turn.world, row), *_borne(turn, row)]
    return found


def broken_invariants(world: World) -> list[Finding]:
    return [("invariant", f"{row['name']}: {row['row']}") for row in world.rows(BROKEN)]


def _unjournaled(turn: TurnUnderFault) -> Iterator[Finding]:
    """Compare the provider's log with the journal: each request is one call."""
    asked = Counter(request["client_request_id"] for request in turn.requests)
    known = {str(row["call_id"]) for row in turn.world.rows("SELECT call_id FROM llm_calls")}
    for call_id, times in asked.items():
        if call_id not in known:
            yield "lost", f"the provider has call {call_id}, and the journal has not"
        if times > 1:
            yield "lost", f"call {call_id} was sent {times} times"


def _amounts(requests: list[dict[str, Any]], calls: list[Row]) -> Iterator[Finding]:
    """Compare each amount: a known outcome costs its tokens at its row's rates, an unknown one is in suspense."""
    by_id = {request["client_request_id"]: request for request in requests}
    for call in calls:
        request, name = by_id.get(str(call["call_id"])), f"call {call['call_id']}"
        if call["status"] == "succeeded" and (request is None or not request["usage"]):
            yield "amount", f"{name} succeeded, and the provider has no count of it"
        elif call["status"] == "succeeded" and request is not None:
            usage, rates = request["usage"], {name: Decimal(rate) for name, rate in call["rates"].items()}
            asked, answered = usage["prompt_tokens"], usage["completion_tokens"]
            cost = (asked * rates["input"] + answered * rates["output"]) / _MILLION
            if (call["input_tokens"], call["output_tokens"], call["cost_usd"]) != (asked, answered, cost):
                yield "amount", f"{name} costs {call['cost_usd']}, and by the provider's log {cost}"
        elif call["status"] == "unknown" and call["cost_usd"] != call["reserve_usd"]:
            yield "amount", f"{name} is unknown and not at its reserve"
        elif call["status"] == "unbilled" and (call["cost_usd"] or (request and request["status"] == 200)):
            yield "amount", f"{name} is unbilled, and the provider answered it"


def verdicts(calls: list[Row]) -> Iterator[Finding]:
    replied = Counter(call["step"] for call in calls if call["verdict"] == "reply")
    for step, times in replied.items():
        if times > 1:
            yield "double", f"step {step} of turn {calls[0]['turn_id']} has {times} replies"
    decided: set[int] = set()
    for call in calls:
        if call["step"] in decided:
            yield "asked again", f"step {call['step']} of turn {call['turn_id']} was asked again after its verdict"
        if call["verdict"] is not None:
            decided.add(call["step"])


def _plan(turn: TurnUnderFault, row: Row) -> Iterator[Finding]:
    for earlier in turn.plans:
        if earlier != row["plan"] and not _grew(earlier, row["plan"]):
            yield "plan", f"turn {row['id']} had plan {earlier}, and has {row['plan']}"


def _grew(earlier: dict[str, Any], plan: dict[str, Any]) -> bool:
    """Return whether each of a graph's plans continues the one before."""
    keys, others = earlier["selected_agent_keys"], plan["selected_agent_keys"]
    return bool(earlier["source"] == plan["source"] == "graph" and others[: len(keys)] == keys)


def _told(turn: TurnUnderFault, row: Row) -> Iterator[Finding]:
    """Check the answers: every 201 is the stored response byte for byte. 202 and 503 name this turn. No other status
    fits.
    """
    if turn.deleted:
        if turn.told[-1].status not in (404, 410) or row["response"] is not None or row["message"]:
            yield "told", f"turn {row['id']} was deleted, and something is left of it"
        return
    for answer in turn.told:
        match answer.status:
            case 201 if answer.body != row["response"]:
                yield "told", f"a client was told of turn {row['id']} what is not stored"
            case 202 if json.loads(answer.body)["id"] != str(row["id"]):
                yield "told", f"a client was told of another turn than {row['id']}"
            case 201 | 202 | 503:
                pass
            case status:
                yield "told", f"a client of turn {row['id']} was answered {status}: {answer.body[:200]}"
    if turn.told and turn.told[-1].status != 201:
        yield "told", f"the key of turn {row['id']} does not answer with it"


def _heard(turn: TurnUnderFault, row: Row) -> Iterator[Finding]:
    """Compare every stream with the stored turn."""
    if row["response"] is None:
        return
    streams = turn.streams or [Heard((), is_whole=False)]
    for number, heard in enumerate(streams):
        yield from unlike(row, heard, turn.followed if number == 0 else None, lags=turn.lags)


def _borne(turn: TurnUnderFault, row: Row) -> Iterator[Finding]:
    """Check that the platform bears each failed attempt that fits into its allowance, and nothing beyond it.

    A partly settled turn is left out, because its settlement made room.
    """
    left = turn.world.allowance_left()
    for post in turn.world.rows(_BORNE, row["id"]):
        amount, name = post["amount_usd"], f"call {post['call_id']} of turn {row['id']}"
        if post["bearer"] == "platform" and amount and turn.scenario.allowance_usd == 0:
            yield "paid", f"the platform bears {amount} for {name} without an allowance"
        # A helper's whole reserve had to fit. It is higher than its cost.
        fits = amount <= left if post["reason"] != "helper" else turn.scenario.allowance_usd is None
        if post["bearer"] == "tenant" and post["reason"] not in ("reply", "review") and amount and fits:
            yield "paid", f"the tenant bears {amount} for {name}, and {left} of the allowance is left"
    if turn.scenario.allowance_usd and left < 0:
        yield "paid", f"the platform bears {-left} more than its allowance with turn {row['id']}"


def _response(world: World, row: Row) -> Iterator[Finding]:
    """Compare the response's cost with the posts of the turn."""
    if row["response"] is None:
        return
    response = json.loads(row["response"])
    posted = {
        entry["account"]: entry["usd"]
        for entry in world.rows(
            """SELECT account, sum(amount_usd) AS usd FROM usage_ledger
            WHERE turn_id = %s AND kind = 'post' GROUP BY account""",
            row["id"],
        )
    }
    for account, name in (("tenant", "cost_usd"), ("platform", "platform_cost_usd")):
        if Decimal(response[name]) != posted.get(account, 0):
            yield "response", f"turn {row['id']} says {name} {response[name]}, and posted is {posted.get(account, 0)}"
