"""Tests a tenant that makes its turns fail: the platform pays up to its allowance, and the tenant pays the rest."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from shared.db import protocol
from shared.db.api.history import record_cancel
from shared.db.protocol import PUBLISH
from shared.db.statement import Statement
from shared.domain.money import Usage
from shared.errors import BudgetExceeded
from shared.llm.port import Completion, OnText, Request
from shared.names import Env
from shared.settings import settings
from tests.support.council_room import CouncilRoom, answer, body, unknown
from tests.support.other_process import OtherProcess
from tests.support.sql_edits import apply, edited

# The cost of a call of the alias `fast`, which is less than its reserve.
USAGE = Usage(input_tokens=60, output_tokens=100)
COST = Decimal("0.000046")
# The money covers four agents' calls, a manager's and a summary's reserve, and little more.
ALLOWANCE = 4 * COST
ALLOWANCES = {
    "one-token caps": Decimal("0.00004"),
    "failed routing": Decimal("0.0004"),
    "a summary every turn": Decimal("0.0015"),
}
TURNS = 10
TENANT, PLATFORM = "tenant:tenant-1", "platform:tenant-1"


@dataclass
class Always:
    """A provider that always gives the same answer. `asked` are its requests; `first` runs before each answer."""

    completion: Completion
    first: Callable[[], object] = lambda: None

    def __post_init__(self) -> None:
        self.asked: list[Request] = []

    def complete(self, request: Request, _on_text: OnText | None = None) -> Completion:
        self.asked.append(request)
        self.first()
        return self.completion


def fan_out(room: CouncilRoom) -> dict[str, Any]:
    keys = [f"agent-{number}" for number in range(32)]
    for key in keys:
        room.make_agent(key)
    session_id = room.make_session(agent_keys=keys, fan_out="parallel")
    return {"message": " ".join(f"@{key}" for key in keys), "session_id": session_id}


def one_token(room: CouncilRoom) -> dict[str, Any]:
    room.change_agent("writer", max_output_tokens=1)
    return {}


def long_message(_: CouncilRoom) -> dict[str, Any]:
    """Makes a summary due after each turn."""
    return {"message": "@writer " + "word " * 800}


BLANK = answer("", USAGE)
# A way to make calls fail: the provider's answer, and the posted turn.
WAYS: dict[str, tuple[Completion, Callable[[CouncilRoom], dict[str, Any]]]] = {
    "blank answers": (BLANK, lambda _: {}),
    "content filters": (answer("Half of it", USAGE, "content_filtered"), lambda _: {}),
    "length without text": (answer("", USAGE, "max_tokens"), lambda _: {}),
    "one-token caps": (answer("", Usage(60, 1), "max_tokens"), one_token),
    "timeouts": (unknown(), lambda _: {}),
    "server errors": (unknown("provider_error"), lambda _: {}),
    "unreadable answers": (unknown("malformed_response"), lambda _: {}),
    "fan-out of 32": (BLANK, fan_out),
    "failed routing": (answer("No JSON.", USAGE), lambda _: {"mode": "orchestrator"}),
    "a summary every turn": (answer("No JSON.", USAGE), long_message),
    "cancelled turns": (BLANK, lambda _: {}),
}


@pytest.fixture
def hostile(room: CouncilRoom, monkeypatch: pytest.MonkeyPatch) -> CouncilRoom:
    monkeypatch.setenv(Env.SUMMARY_AFTER_TOKENS, "500")
    settings.cache_clear()
    return room


def allow(room: CouncilRoom, way: str = "", usd: Decimal | None = None) -> Decimal:
    """Set the tenant's allowance, and return it."""
    usd = usd or ALLOWANCES.get(way, ALLOWANCE)
    room.owner.execute("INSERT INTO budget_limits (payer, cap_usd) VALUES (%s, %s)", (PLATFORM, usd))
    return usd


@pytest.fixture
def edits() -> Iterator[Callable[[dict[str, str]], None]]:
    """Edit the protocol's SQL until the test is over."""
    kept = {name: value.parts for name, value in vars(protocol).items() if isinstance(value, Statement)}
    yield apply
    for name, parts in kept.items():
        getattr(protocol, name).parts = parts


def take_turns(room: CouncilRoom, way: str, turns: int = TURNS) -> list[dict[str, Any]]:
    """Post turns in this way. Returns those that were accepted."""
    completion, prepare = WAYS[way]
    posted = {"message": "@writer hello", **prepare(room)}
    message, cancel = posted.pop("message"), way == "cancelled turns"
    provider = Always(completion, lambda: _cancel(room) if cancel else None)
    taken = []
    for _ in range(turns):
        try:
            taken.append(body(room.take(message, runner=room.runner(provider=provider), **posted)))
        except BudgetExceeded:
            break
    return taken


def _cancel(room: CouncilRoom) -> None:
    turn_id: UUID = room.row("SELECT id FROM turns WHERE status = 'running'")["id"]
    record_cancel(room.open_database(), room.actor, turn_id)


def borne(room: CouncilRoom) -> Decimal:
    """Return the platform's costs for the tenant in USD: spent, held, and in suspense."""
    return sum(
        (row["usd"] for row in room.rows("SELECT held_usd + spent_usd AS usd FROM budgets WHERE payer = %s", PLATFORM)),
        Decimal(0),
    )


def billed(room: CouncilRoom) -> Decimal:
    return Decimal(
        room.row("SELECT coalesce(sum(cost_usd), 0) AS usd FROM llm_calls WHERE status = 'succeeded'")["usd"]
    )


@pytest.mark.parametrize("way", WAYS)
def test_the_platform_bears_no_more_than_its_allowance(hostile: CouncilRoom, way: str) -> None:
    allowance = allow(hostile, way)
    turns = take_turns(hostile, way)
    assert len(turns) == TURNS
    assert 0 < borne(hostile) <= allowance
    accounts = hostile.accounts()
    assert accounts.get("tenant", 0) + accounts.get("platform", 0) == billed(hostile)
    unknown_usd = accounts.get("suspense", Decimal(0))
    assert borne(hostile) == accounts.get("platform", 0) + min(unknown_usd, borne(hostile))
    # The tenant pays the rest: spent, or held until reconciliation settles it.
    month = hostile.budget(TENANT)
    assert month is not None
    assert month["held_usd"] + month["spent_usd"] + borne(hostile) == billed(hostile) + unknown_usd


@pytest.mark.parametrize("way", WAYS)
def test_the_platform_bears_nothing_while_its_limit_is_zero(hostile: CouncilRoom, way: str) -> None:
    allow(hostile, way)
    hostile.limit(0, "platform")
    assert len(take_turns(hostile, way)) == TURNS
    assert borne(hostile) == 0
    assert hostile.accounts().get("tenant", 0) == billed(hostile)


@pytest.mark.parametrize("way", WAYS)
def test_a_tenant_without_money_makes_no_call(hostile: CouncilRoom, way: str) -> None:
    hostile.limit(Decimal("0.000000000001"))
    assert take_turns(hostile, way) == []
    assert hostile.rows("SELECT FROM llm_calls UNION ALL SELECT FROM turns") == []


@pytest.mark.parametrize("way", WAYS)
def test_a_tenant_pays_and_holds_no_more_than_its_limit(hostile: CouncilRoom, way: str) -> None:
    allow(hostile)
    limit = Decimal("0.001")
    hostile.limit(limit)
    assert 0 < len(take_turns(hostile, way, turns=100)) < 100
    month = hostile.budget(TENANT)
    assert month is not None
    assert month["held_usd"] + month["spent_usd"] <= limit


def test_whole_calls_move_in_order_while_they_fit(hostile: CouncilRoom) -> None:
    """The first attempt is too expensive, so the tenant pays it. The second one fits."""
    allow(hostile, usd=Decimal("0.0005"))
    hostile.provider.enqueue(answer("", Usage(output_tokens=1000)), BLANK, answer("Roses.", USAGE))
    hostile.change_agent("researcher", max_output_tokens=2000)
    turn = body(hostile.take("@researcher hello"))
    assert turn["output"] == "Roses."
    entries = hostile.rows("SELECT account, reason, amount_usd FROM usage_ledger ORDER BY step, attempt")
    assert [(entry["account"], entry["reason"]) for entry in entries] == [
        ("tenant", "failed_attempt"),
        ("platform", "failed_attempt"),
        ("tenant", "reply"),
    ]


def test_a_response_says_what_publish_decided(hostile: CouncilRoom) -> None:
    """The stored bytes are the answer, with the ledger's figures."""
    allow(hostile)
    for outcome in (hostile.take("@writer hello", runner=hostile.runner(provider=Always(BLANK))) for _ in range(4)):
        assert hostile.row("SELECT response FROM turns WHERE id = %s", outcome.turn_id)["response"] == outcome.body
        sums = hostile.rows(
            "SELECT account, sum(amount_usd) AS usd FROM usage_ledger WHERE turn_id = %s GROUP BY 1", outcome.turn_id
        )
        found = {row["account"]: row["usd"] for row in sums}
        turn = body(outcome)
        assert Decimal(turn["cost_usd"]) == found.get("tenant", 0)
        assert Decimal(turn["platform_cost_usd"]) == found.get("platform", 0)
        assert outcome.bill is not None
        assert outcome.bill.tenant_usd == found.get("tenant", 0)


FITS = "CASE WHEN f.amount <= w.room THEN f.call_id END"
# The platform's guards: the file, the edit that removes the guard, and the attack that then costs the platform more.
GUARDS: dict[str, tuple[str, dict[str, str], str]] = {
    "a call moves only if it fits": ("publish", {FITS: "f.call_id"}, "blank answers"),
    "an unknown outcome is drawn only if it fits": ("publish", {FITS: "f.call_id"}, "timeouts"),
    "the share holds a helper only if it fits": (
        "intents",
        {
            "WHERE :i_helper AND :i_reserve_usd <= allowance.most": "WHERE :i_helper",
            "b.spent_usd + b.held_usd + excluded.held_usd <= (\n        SELECT": "0 <= (\n        SELECT",
        },
        "failed routing",
    ),
}


@pytest.mark.parametrize("guard", GUARDS)
def test_the_platform_bears_more_without_a_guard(
    hostile: CouncilRoom, edits: Callable[[dict[str, str]], None], guard: str
) -> None:
    file, changes, way = GUARDS[guard]
    text = edited(file, *next(iter(changes.items())))
    for before, after in changes.items():
        text = text.replace(before, after)
    edits({file: text})
    allowance = allow(hostile, way)
    take_turns(hostile, way)
    assert borne(hostile) > allowance


@pytest.mark.parametrize("way", ["blank answers", "timeouts"])
def test_two_turns_that_end_at_once_share_the_allowance(hostile: CouncilRoom, other: OtherProcess, way: str) -> None:
    """The second publish waits for the share's row, and finds the rest that the first one left."""
    completion, _ = WAYS[way]
    take_turns(hostile, way, turns=1)
    hostile.owner.execute("INSERT INTO budget_limits VALUES (%s, NULL, %s)", (PLATFORM, 3 * borne(hostile) / 2))
    other.provider.enqueue(completion, completion)
    hostile.provider.enqueue(completion, completion)
    elsewhere, before = hostile.make_session(), borne(hostile)
    other.comes_second(PUBLISH, lambda: other.take("@writer hello", session_id=elsewhere))
    hostile.take("@writer hello", session_id=hostile.make_session())
    assert other.result().published
    assert borne(hostile) == 3 * before / 2
