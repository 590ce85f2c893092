"""Tests mode `council` at its limits: budgets, caps, deletion, cancelling, and giving up."""

import json
from decimal import Decimal
from typing import Any

import pytest

from shared.catalog import catalog
from shared.db.api.history import record_cancel
from shared.db.api.sessions import record_session_deletion
from shared.db.protocol import FRUITLESS_CLAIMS, PUBLISH
from shared.db.turns import load_turn
from shared.domain.agent import NO_CAP
from shared.errors import (
    BudgetExceeded,
    DatabaseUnavailable,
    JournalUnavailable,
    SessionDeleted,
    TurnLimitExceeded,
)
from shared.llm.port import Request
from shared.settings import settings
from tests.support.council_mode import MEMBERS, scripted
from tests.support.council_mode import council as council  # noqa: PLC0414 a fixture
from tests.support.council_room import ALIASES, CouncilRoom, Killed, body, names


@pytest.mark.parametrize("later", [False, True], ids=["at once", "later"])
@pytest.mark.parametrize("covered", range(4))
def test_a_tight_budget_skips_members_and_keeps_the_chair(council: CouncilRoom, covered: int, later: bool) -> None:
    members, chair = council_reserves(council)
    # Without the last part, the last covered member would not fit.
    council.limit_to(f"spent_usd + {chair + sum(members[:covered]) + min(members) / 2}")
    asked, session_id = len(council.provider.requests), council.make_session(agent_keys=MEMBERS, mode="council")
    if covered == 0 and not later:
        with pytest.raises(BudgetExceeded):
            council.take("How many?", session_id=session_id)
        assert len(council.provider.requests) == asked
        return
    outcome = council.take("How many?", session_id=session_id, later=later)
    turn = body(council.resume(outcome.turn_id) if later else outcome)
    statuses = [*["completed"] * covered, *["skipped"] * (3 - covered), "completed" if covered else "skipped"]
    assert [r["status"] for r in turn["replies"]] == statuses
    # A turn for later holds money for one agent of the roster. The worker finds out the rest.
    assert turn["output"] == ("Forty-two." if covered else "")


@pytest.mark.parametrize(
    ("calls", "members", "reviews"), [(2, 1, 0), (3, 2, 0), (4, 3, 0), (5, 3, 1), (6, 3, 2), (7, 3, 3)]
)
def test_the_caps_of_a_turn_leave_room_for_the_chair(
    council: CouncilRoom, monkeypatch: pytest.MonkeyPatch, calls: int, members: int, reviews: int
) -> None:
    monkeypatch.setenv("PANTHEON_TURN_MAX_CALLS", str(calls))
    settings.cache_clear()
    turn = body(council.take("How many?"))
    assert [r["status"] for r in turn["replies"]] == ["completed"] * members + ["skipped"] * (3 - members) + [
        "completed"
    ]
    assert (turn["output"], len(turn["reviews"])) == ("Forty-two.", reviews)
    assert {f["component"] for f in turn["fallbacks"]} <= {"review"}


def test_a_council_is_refused_when_the_caps_do_not_cover_one_answer_and_the_chair(
    council: CouncilRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    members, chair = council_reserves(council)
    asked, session_id = len(council.provider.requests), council.make_session(agent_keys=MEMBERS, mode="council")
    monkeypatch.setenv("PANTHEON_TURN_MAX_USD", str(members[0] + chair - Decimal("0.0000001")))
    settings.cache_clear()
    with pytest.raises(TurnLimitExceeded):
        council.take("How many?", session_id=session_id)
    assert len(council.provider.requests) == asked
    monkeypatch.setenv("PANTHEON_TURN_MAX_USD", str(members[0] + chair))
    settings.cache_clear()
    turn = body(council.take("How many?", session_id=session_id))
    assert [r["status"] for r in turn["replies"]] == ["completed", "skipped", "skipped", "completed"]


def council_reserves(council: CouncilRoom) -> tuple[list[Decimal], Decimal]:
    """Return the reserves of the members' calls and of the chair's hold in this room."""
    held: list[Any] = []

    def look(_: Request) -> None:
        rows = council.rows("SELECT reserve_usd FROM llm_calls ORDER BY step")
        held[:] = held or [
            [row["reserve_usd"] for row in rows],
            council.row("SELECT held_usd FROM budget_holds")["held_usd"],
        ]

    scripted(council, member=look)
    council.take("How many?")
    members, chair = held
    return members, chair


def test_the_chairs_hold_follows_the_aliases_caps_when_agents_have_no_cap(council: CouncilRoom) -> None:
    for key in MEMBERS:
        council.change_agent(key, max_output_tokens=catalog()[ALIASES[key]].max_output_tokens)
    _, capped = council_reserves(council)
    for key in MEMBERS:
        council.change_agent(key, max_output_tokens=NO_CAP)
    council.session_id = council.make_session(agent_keys=MEMBERS, mode="council")
    assert council_reserves(council)[1] == capped


@pytest.mark.parametrize("during", ["member", "review", "chair"])
def test_a_council_ends_without_text_when_its_session_is_deleted_meanwhile(council: CouncilRoom, during: str) -> None:
    first = iter([during])

    def delete(_: Request) -> None:
        if next(first, None):
            record_session_deletion(council.open_database(), council.actor, council.session_id)

    scripted(council, **{during: delete})
    with pytest.raises(SessionDeleted):
        council.take("How many?")
    assert council.rows("SELECT 1 FROM replies WHERE text IS NOT NULL") == []
    assert council.rows("SELECT 1 FROM llm_calls WHERE posted_at IS NULL") == []


@pytest.mark.parametrize("during", ["member", "review", "chair"])
def test_a_cancelled_council_keeps_and_charges_the_answers_that_it_has(council: CouncilRoom, during: str) -> None:
    first = iter([during])

    def cancel(_: Request) -> None:
        if next(first, None):
            turn_id = council.row("SELECT id FROM turns")["id"]
            record_cancel(council.open_database(), council.actor, turn_id)

    scripted(council, **{during: cancel})
    turn = body(council.take("How many?"))
    assert (turn["status"], [r["status"] for r in turn["replies"][:3]]) == ("cancelled", ["completed"] * 3)
    assert names(turn["replies"])[3] == (
        ("writer", "completed", None) if during == "chair" else ("writer", "skipped", "cancelled")
    )
    assert council.accounts() == {"tenant": Decimal(turn["cost_usd"])}


@pytest.mark.parametrize("bare", [False, True], ids=["as it stands", "bare"])
def test_a_council_that_is_given_up_fails_and_holds_nothing(council: CouncilRoom, bare: bool) -> None:
    def die(_: Request) -> None:
        raise Killed

    scripted(council, chair=die)
    turn_id = council.take_until_killed("How many?")
    council.owner.execute("UPDATE turns SET expired_claims = %s", (FRUITLESS_CLAIMS + bare,))
    turn = body(council.resume(turn_id))
    assert (turn["status"], turn["error"]["code"]) == ("failed", "turn_abandoned")
    assert [r["status"] for r in turn["replies"]] == [*["skipped" if bare else "completed"] * 3, "skipped"]
    assert council.rows("SELECT 1 FROM budget_holds WHERE reason = 'accepted'") == []


def test_council_that_is_given_up_ends_with_its_chairs_answer_when_it_has_one(council: CouncilRoom) -> None:
    def fail() -> None:
        raise DatabaseUnavailable

    council.db.before(PUBLISH, fail)
    with pytest.raises(JournalUnavailable):
        council.take("How many?")
    turn_id = council.row("SELECT id FROM turns")["id"]
    # The last reply is the output of a turn that runs, too.
    running = json.loads(load_turn(council.db, council.actor, turn_id).body)
    assert (running["status"], running["output"]) == ("running", "Forty-two.")
    council.expire_lease()
    council.owner.execute("UPDATE turns SET expired_claims = %s", (FRUITLESS_CLAIMS,))
    turn = body(council.resume(turn_id))
    assert (turn["error"]["code"], turn["output"]) == ("turn_abandoned", "Forty-two.")
    assert [r["text"] for r in council.rows("SELECT text FROM replies WHERE is_heard")] == ["Forty-two."]
