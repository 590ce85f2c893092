"""Tests agents that are asked at the same time: one commit for their intents, and one for each outcome."""

import json
import threading
from decimal import Decimal
from uuid import UUID

import pytest

from shared.db.api.health import load_checks
from shared.db.engine import Database
from shared.llm.port import Completion, Request
from tests.support.council_room import DEADLINE_S, CouncilRoom, Killed, wait_for
from tests.support.wiretap import Wiretap

KEYS = ("writer", "researcher", "critic")
HEARD = "SELECT count(finished_at) AS heard FROM llm_calls"
ALL = "@critic @writer @researcher hello"


@pytest.fixture
def session_id(room: CouncilRoom) -> UUID:
    return room.make_session(agent_keys=KEYS, fan_out="parallel")


def asked(request: Request) -> str:
    """Return the agent of a request."""
    return next(key for key in KEYS if f"You are the {key}." in request.messages[0].text)


def test_parallel_agents_are_asked_before_any_answer_and_keep_the_order_of_tags(
    room: CouncilRoom, session_id: UUID
) -> None:
    together = threading.Barrier(3)

    def answer(request: Request) -> str:
        together.wait(DEADLINE_S)
        return f"I am {asked(request)}."

    room.provider.enqueue(*[answer] * 3)
    turn = json.loads(room.take(ALL, session_id=session_id).body)
    assert turn["output"] == "Critic: I am critic.\n\nWriter: I am writer.\n\nResearcher: I am researcher."
    assert all(len(request.messages) == 2 for request in room.provider.requests)
    assert not any("<quoted" in request.messages[-1].text for request in room.provider.requests)
    assert [call[:2] for call in room.calls("step, agent_key")] == [(0, "critic"), (1, "writer"), (2, "researcher")]


def test_the_intents_share_a_commit_and_a_turn_takes_no_more_than_three_beyond_its_calls(
    room: CouncilRoom, session_id: UUID
) -> None:
    with Wiretap(room.app_url, ignoring="set_config('app.tenant_id'") as tap:
        db = Database(tap.url)
        load_checks(db)
        tap.reset()
        before = room.row("SELECT pg_current_xact_id()::text::bigint AS id")["id"]
        room.take(ALL, session_id=session_id, runner=room.runner(db=db))
        after = room.row("SELECT pg_current_xact_id()::text::bigint AS id")["id"]
        db.close()
    # The intents, two outcomes on arrival, the third with the publish.
    assert after - before - 1 == 4 <= 3 + 3


def test_an_outcome_is_in_the_journal_while_the_others_are_still_awaited(room: CouncilRoom, session_id: UUID) -> None:
    """The last agent answers after the outcomes of the other two are written."""

    def answer(request: Request) -> str:
        if asked(request) == "writer":
            wait_for(lambda: room.row(HEARD)["heard"] == 2)
        return f"I am {asked(request)}."

    room.provider.enqueue(*[answer] * 3)
    assert json.loads(room.take(ALL, session_id=session_id).body)["status"] == "completed"


def test_failed_call_is_retried_alone_and_the_others_go_on(room: CouncilRoom, session_id: UUID) -> None:
    def answer(request: Request) -> str | Completion:
        if asked(request) == "writer":
            return Completion("unknown", error="provider_error")
        return f"I am {asked(request)}."

    room.provider.enqueue(*[answer] * 3, "Second try.")
    turn = json.loads(room.take(ALL, session_id=session_id).body)
    assert [reply["text"] for reply in turn["replies"]] == ["I am critic.", "Second try.", "I am researcher."]
    assert room.calls("step, attempt, status, verdict") == [
        (0, 1, "succeeded", "reply"),
        (1, 1, "unknown", None),
        (1, 2, "succeeded", "reply"),
        (2, 1, "succeeded", "reply"),
    ]


@pytest.mark.parametrize(("missing", "sent"), [("0", 2), ("0.000001", 1)], ids=["two", "one"])
def test_the_budget_covers_as_many_of_the_first_as_it_can(
    room: CouncilRoom, session_id: UUID, missing: str, sent: int
) -> None:
    room.take(ALL, session_id=session_id)
    reserves = [row["reserve_usd"] for row in room.rows("SELECT reserve_usd FROM llm_calls ORDER BY step")]
    spent = room.row("SELECT spent_usd FROM budgets")["spent_usd"]
    room.limit(spent + sum(reserves[:2]) - Decimal(missing))
    another = room.make_session(agent_keys=KEYS, fan_out="parallel")
    turn = json.loads(room.take(ALL, session_id=another).body)
    assert len(room.provider.requests) == 3 + sent
    assert [reply["status"] for reply in turn["replies"]] == ["completed"] * sent + ["skipped"] * (3 - sent)
    assert {r["error"]["code"] for r in turn["replies"] if r["status"] == "skipped"} == {"budget_exceeded"}


def test_resumed_turn_makes_only_the_missing_calls(room: CouncilRoom, session_id: UUID) -> None:
    def answer(request: Request) -> str:
        if asked(request) == "writer":
            wait_for(lambda: room.row(HEARD)["heard"] == 2)
            raise Killed
        return f"I am {asked(request)}."

    room.provider.enqueue(*[answer] * 3)
    turn_id = room.take_until_killed(ALL, session_id=session_id)
    room.provider.enqueue("I am back.")
    outcome = room.resume(turn_id)
    assert outcome is not None
    assert [reply["text"] for reply in json.loads(outcome.body)["replies"]] == [
        "I am critic.",
        "I am back.",
        "I am researcher.",
    ]
    assert len(room.provider.requests) == 4


def test_calls_that_would_not_fit_are_not_begun(room: CouncilRoom, session_id: UUID) -> None:
    outcome = room.take(ALL, session_id=session_id, runner=room.runner(seconds_left=lambda: 5.0))
    assert outcome.handed_over
    assert room.provider.requests == []
    assert room.calls() == []
