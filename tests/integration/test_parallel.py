"""Agents that are asked at the same time: their intents share a commit, and each outcome stands for itself."""

import threading
from typing import Any

import pytest

from shared.db.journal import RECORD
from shared.db.turns import record_cancel
from shared.errors import BudgetExceeded, DatabaseUnavailable, JournalUnavailable
from shared.llm.port import Completion, Request
from tests.council_room import DEADLINE_S, FAST_COST, CouncilRoom, Killed, answer, body, names, unbilled, wait_for

MESSAGE = "@writer @researcher @critic hello"


def agent_of(request: Request) -> str:
    return request.messages[0].text.partition("You are the ")[2].rstrip(".")


class Cast:
    """What each agent's calls get, in whatever order they come, in a session whose fan-out is parallel."""

    def __init__(self, room: CouncilRoom, **script: list[Any]) -> None:
        self.room = room
        self.script = script
        self.asked: list[str] = []
        self._lock = threading.Lock()
        room.provider.enqueue(*[self] * 20)
        room.session_id = room.make_session(fan_out="parallel")

    def die_last(self, _: Request) -> Completion:
        """The process ends when every other call is answered and recorded."""
        wait_for(lambda: self.room.row("SELECT count(*) AS open FROM llm_calls WHERE status = 'intent'")["open"] == 1)
        raise Killed

    def __call__(self, request: Request) -> Completion:
        with self._lock:
            agent = agent_of(request)
            self.asked.append(agent)
            reply = self.script[agent].pop(0) if self.script.get(agent) else answer(f"I am the {agent}.")
        return reply(request) if callable(reply) else reply


def test_all_are_asked_at_the_same_time_and_none_hears_the_others(room: CouncilRoom) -> None:
    meeting = threading.Barrier(3)

    def meet(request: Request) -> Completion:
        meeting.wait(DEADLINE_S)
        assert room.calls("step, status") == [(0, "intent"), (1, "intent"), (2, "intent")]
        meeting.wait(DEADLINE_S)
        return answer(f"I am the {agent_of(request)}.")

    Cast(room, writer=[meet], researcher=[meet], critic=[meet])
    turn = body(room.take(MESSAGE))
    assert [reply["text"] for reply in turn["replies"]] == [
        f"I am the {key}." for key in ("writer", "researcher", "critic")
    ]
    assert not any("I am the" in message.text for r in room.provider.requests for message in r.messages)


def test_a_failed_attempt_is_followed_by_its_own_next_one(room: CouncilRoom) -> None:
    cast = Cast(room, writer=[unbilled("throttled"), answer()], researcher=[unbilled("refused")])
    turn = body(room.take(MESSAGE))
    assert names(turn["replies"]) == [
        ("writer", "completed", None),
        ("researcher", "failed", "refused"),
        ("critic", "completed", None),
    ]
    assert sorted(cast.asked) == ["critic", "researcher", "writer", "writer"]


def test_the_budget_covers_as_many_of_the_first_as_it_does(room: CouncilRoom) -> None:
    Cast(room)
    room.take(MESSAGE)
    reserves = [reserve for (reserve,) in room.calls("reserve_usd")]
    room.owner.execute("UPDATE budgets SET limit_usd = spent_usd + %s", (sum(reserves[:2]),))
    room.session_id = room.make_session(fan_out="parallel")
    turn = body(room.take(MESSAGE))
    assert names(turn["replies"])[1:] == [("researcher", "completed", None), ("critic", "skipped", "budget_exceeded")]
    room.owner.execute("UPDATE budgets SET limit_usd = spent_usd")
    room.session_id = room.make_session(fan_out="parallel")
    with pytest.raises(BudgetExceeded):
        room.take(MESSAGE)


def test_what_was_answered_before_a_death_is_not_asked_again(room: CouncilRoom) -> None:
    cast = Cast(room)
    cast.script["researcher"] = [cast.die_last]
    turn_id = room.take_until_killed(MESSAGE)
    assert [row[:3] for row in room.calls("step, status, verdict")] == [
        (0, "succeeded", "reply"),
        (1, "intent", None),
        (2, "succeeded", "reply"),
    ]
    turn = body(room.resume(turn_id))
    assert [reply["status"] for reply in turn["replies"]] == ["completed"] * 3
    assert sorted(cast.asked) == ["critic", "researcher", "researcher", "writer"]


def test_a_cancel_before_another_attempt_keeps_what_was_answered(room: CouncilRoom) -> None:
    def cancel(_: Request) -> Completion:
        record_cancel(room.open_database(), room.tenant_id, room.row("SELECT id FROM turns")["id"])
        return unbilled("throttled")

    Cast(room, writer=[cancel])
    turn = body(room.take(MESSAGE))
    assert turn["status"] == "cancelled"
    assert names(turn["replies"]) == [
        ("writer", "skipped", "cancelled"),
        ("researcher", "completed", None),
        ("critic", "completed", None),
    ]


def test_a_turn_that_is_given_up_keeps_what_was_answered(room: CouncilRoom) -> None:
    cast = Cast(room)
    cast.script["writer"] = [cast.die_last] * 4
    turn_id = room.take_until_killed("@writer @critic hello")
    for _ in range(3):
        with pytest.raises(Killed):
            room.resume(turn_id)
        room.expire_lease()
    turn = body(room.resume(turn_id))
    assert turn["error"]["code"] == "turn_abandoned"
    assert names(turn["replies"]) == [("writer", "skipped", "turn_abandoned"), ("critic", "completed", None)]


def test_an_outcome_that_cannot_be_written_costs_none_of_the_others(room: CouncilRoom) -> None:
    """The database is gone for a while: longer than one outcome is tried, shorter than the turn."""

    def fail() -> None:
        raise DatabaseUnavailable

    Cast(room)
    for _ in range(6):
        room.db.before(RECORD, fail)
    with pytest.raises(JournalUnavailable):
        room.take(MESSAGE)
    assert room.calls("status, verdict, cost_usd > 0") == [("succeeded", "reply", True)] * 3
    room.expire_lease()
    assert room.resume(room.row("SELECT id FROM turns")["id"]) is not None
    assert room.accounts().keys() == {"tenant"}
    assert room.accounts()["tenant"] > FAST_COST
