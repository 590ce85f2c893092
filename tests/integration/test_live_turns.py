"""Tests the events of a running turn: in order, true, and without a commit or a round trip of their own."""

import json
import threading
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from shared.db.api.budgets import record_limit
from shared.db.protocol import OPEN, PUBLISH, RECORD, RELEASE
from shared.domain.money import Usage
from shared.domain.turn_events import Delta, Event, Listener
from shared.errors import BudgetExceeded, JournalUnavailable
from shared.llm.port import Completion, OnText, Request
from shared.orchestration.reply_stream import habits
from tests.support.council_room import AMPLE_S, CouncilRoom, answer, body
from tests.support.heard import Heard


def take(room: CouncilRoom, message: str, listener: Listener, **fields: Any) -> dict[str, Any]:
    return body(room.take(message, listener=listener, **fields))


def reply_events(position: int) -> list[str]:
    return [f"started {position}", f"delta {position}", f"completed {position}"]


def test_turn_of_two_agents_has_events_from_its_start_to_its_end(room: CouncilRoom) -> None:
    room.provider.enqueue("Roses are red.", "Violets are blue.")
    heard = Heard()
    turn = take(room, "@writer @critic hello", heard)
    assert heard.names == [
        "turn",
        "plan",
        "started 0",
        "delta 0",
        "completed 0",
        "started 1",
        "delta 1",
        "completed 1",
        "turn.ended",
    ]
    (begun,) = heard.data("turn")
    assert begun == turn | {
        "status": "running",
        "replies": [],
        "output": "",
        "completed_at": None,
        "cost_usd": "0",
        "usage": dict.fromkeys(turn["usage"], 0),
        "model_alias_used": None,
        "model_aliases_used": [],
        "steps_finished": 0,
    }
    assert heard.data("plan") == [turn["plan"]]
    assert heard.data("reply.started")[1] == {
        "position": 1,
        "agent_key": "critic",
        "name": "Critic",
        "model_alias": "fast",
        "attempt": 1,
    }
    assert heard.data("reply.completed") == turn["replies"]
    assert heard.texts() == {0: "Roses are red.", 1: "Violets are blue."}
    last = heard.events[-1]
    assert isinstance(last, Event)
    assert last.data == room.row("SELECT response FROM turns")["response"]


def test_the_last_event_of_a_turn_has_the_id_of_its_end(room: CouncilRoom) -> None:
    heard = Heard()
    take(room, "@writer @critic hello", heard)
    progress = heard.progress()
    assert len(progress) == len([event for event in heard.events if isinstance(event, Event)])
    assert progress[-1].ended
    assert [(each.planned, len(each.replies)) for each in progress[:-1]] == [
        (False, 0),
        (True, 0),
        (True, 1),
        (True, 1),
        (True, 2),
        (True, 2),
    ]


def test_routing_is_not_streamed_and_its_plan_comes_with_the_first_agent(room: CouncilRoom) -> None:
    route = json.dumps({"selected_agent_keys": ["critic"], "reason": "It knows."})
    room.provider.enqueue(answer(route), "Roses.")
    heard = Heard()
    turn = take(room, "hello", heard, mode="orchestrator")
    assert heard.names == ["turn", "plan", *reply_events(0), "turn.ended"]
    assert heard.data("turn")[0]["plan"] is None
    assert heard.data("plan") == [turn["plan"]]


def test_turn_event_is_sent_before_the_manager_answers(room: CouncilRoom) -> None:
    heard = Heard()

    def route(_: Request) -> Completion:
        assert heard.names == ["turn"]
        return answer(json.dumps({"selected_agent_keys": ["critic"], "reason": "It knows."}))

    room.provider.enqueue(route)
    take(room, "hello", heard, mode="orchestrator")


def test_an_attempt_that_fails_takes_its_text_back(room: CouncilRoom) -> None:
    room.provider.enqueue(Completion("unknown", text="Ro", error="connection_lost"), "Roses.")
    heard = Heard()
    take(room, "@writer hello", heard)
    assert heard.names == ["turn", "plan", "started 0", "delta 0", "reset 0", *reply_events(0), "turn.ended"]
    assert [started["attempt"] for started in heard.data("reply.started")] == [1, 2]
    assert heard.texts() == {0: "Roses."}


def test_a_failed_attempt_that_said_nothing_takes_nothing_back(room: CouncilRoom) -> None:
    room.provider.enqueue(Completion("unknown", error="timeout"), "Roses.")
    heard = Heard()
    take(room, "@writer hello", heard)
    assert heard.names == ["turn", "plan", "started 0", *reply_events(0), "turn.ended"]


def test_a_failed_reply_is_completed_after_its_text_is_taken_back(room: CouncilRoom) -> None:
    room.provider.enqueue(Completion("succeeded", "Ro", "content_filtered", Usage(100, 10)))
    heard = Heard()
    turn = take(room, "@writer hello", heard)
    assert heard.names == ["turn", "plan", "started 0", "delta 0", "reset 0", "completed 0", "turn.ended"]
    assert heard.data("reply.completed") == turn["replies"]
    assert turn["status"] == "failed"


def test_parallel_agents_have_events_in_the_order_of_their_answers(room: CouncilRoom) -> None:
    session_id = room.make_session(agent_keys=("writer", "researcher", "critic"), fan_out="parallel")
    first_may_end, heard = threading.Event(), Heard()

    def listener(event: Event | Delta) -> None:
        heard(event)
        if isinstance(event, Event) and event.name == "reply.completed":
            first_may_end.set()

    def slow(request: Request) -> str:
        if "You are the writer." in request.messages[0].text:
            assert first_may_end.wait(10), "the faster replies were not told"
        return "Roses."

    room.provider.enqueue(slow, slow, slow)
    turn = take(room, "@writer @researcher @critic hello", listener, session_id=session_id)
    assert heard.names[:5] == ["turn", "plan", "started 0", "started 1", "started 2"]
    completed = [name for name in heard.names if name.startswith("completed")]
    assert (completed[-1], sorted(completed)) == ("completed 0", ["completed 0", "completed 1", "completed 2"])
    assert sorted(heard.data("reply.completed"), key=lambda reply: int(reply["position"])) == turn["replies"]


def test_a_reply_is_not_told_as_completed_before_it_is_stored(room: CouncilRoom) -> None:
    heard = Heard()

    def look() -> None:
        assert "completed 0" not in heard.names

    room.db.before(OPEN, look)
    room.db.before(PUBLISH, look)
    take(room, "@writer hello", heard)
    assert heard.names[-2:] == ["completed 0", "turn.ended"]


def test_a_reply_whose_outcome_cannot_be_stored_is_never_told_as_completed(room: CouncilRoom) -> None:
    heard = Heard()

    def fail() -> None:
        raise psycopg.OperationalError

    for statement in (OPEN, RECORD, PUBLISH, RELEASE):
        room.db.before(statement, fail)
    with pytest.raises(JournalUnavailable):
        take(room, "@writer @critic hello", heard)
    assert heard.names == ["turn", "plan", "started 0", "delta 0"]


def test_a_turn_that_is_refused_tells_nothing(room: CouncilRoom) -> None:
    record_limit(room.db, room.tenant_id, Decimal(0))
    heard = Heard()
    with pytest.raises(BudgetExceeded):
        take(room, "@writer hello", heard)
    assert heard.events == []


def test_a_turn_that_runs_out_of_time_is_handed_over_with_what_it_has(room: CouncilRoom) -> None:
    left, heard = iter([AMPLE_S]), Heard()
    outcome = room.take(
        "@writer @critic hello", runner=room.runner(seconds_left=lambda: next(left, 0.0)), listener=heard
    )
    assert heard.names == ["turn", "plan", *reply_events(0), "turn.handed_over"]
    assert heard.data("turn.handed_over") == [body(outcome)]
    assert heard.progress()[-1] == heard.progress()[-2]


def test_a_turn_that_is_cancelled_tells_its_skipped_replies(room: CouncilRoom) -> None:
    heard = Heard()

    def cancel(_: Request) -> str:
        room.owner.execute("UPDATE turns SET cancel_requested_at = now()")
        return "Roses."

    room.provider.enqueue(cancel)
    turn = take(room, "@writer @critic hello", heard)
    assert turn["status"] == "cancelled"
    assert heard.names == ["turn", "plan", *reply_events(0), "completed 1", "turn.ended"]
    assert heard.data("reply.completed") == turn["replies"]


def test_replayed_turn_has_its_events_and_an_end(room: CouncilRoom) -> None:
    turn, heard = take(room, "@writer hello", Heard(), idempotency_key="key-1"), Heard()
    assert take(room, "@writer hello", heard, idempotency_key="key-1") == turn
    assert heard.names == ["turn", "turn.ended"]
    assert heard.data("turn") == heard.data("turn.ended") == [turn]


def test_replayed_running_turn_has_a_hand_over_event(room: CouncilRoom) -> None:
    room.take("@writer hello", idempotency_key="key-1", later=True)
    heard = Heard()
    turn = take(room, "@writer hello", heard, idempotency_key="key-1")
    assert heard.names == ["turn", "turn.handed_over"]
    assert heard.data("turn.handed_over") == [turn]


class Surprising:
    """A provider whose model writes its thinking without a mark before it."""

    def complete(self, _: Request, on_text: OnText | None = None) -> Completion:
        pieces = ("Let me ", "think.\n", "</think>\n\n", "Roses.")
        for piece in pieces if on_text else ():
            assert on_text is not None
            on_text(piece)
        return Completion("succeeded", "".join(pieces), "end_turn", Usage(100, 10))


def test_thinking_that_no_mark_begins_is_taken_back_once_and_then_held_back(room: CouncilRoom) -> None:
    habits.cache_clear()
    try:
        first, second = Heard(), Heard()
        for heard in (first, second):
            room.take("@writer hello", runner=room.runner(provider=Surprising()), listener=heard)
            assert heard.texts() == {0: "Roses."}
        assert first.names == ["turn", "plan", "started 0", "delta 0", "reset 0", *reply_events(0), "turn.ended"]
        assert [started["attempt"] for started in first.data("reply.started")] == [1, 1]
        assert second.names == ["turn", "plan", *reply_events(0), "turn.ended"]
    finally:
        habits.cache_clear()


def test_thinking_of_one_tenants_model_holds_back_no_text_of_another(room: CouncilRoom) -> None:
    habits.cache_clear()
    habits().learn("tenant-2", "fast")
    heard = Heard()
    room.provider.enqueue("Roses are red.")
    room.take("@writer hello", listener=heard)
    assert len([event for event in heard.events if isinstance(event, Delta)]) > 1
    habits.cache_clear()
