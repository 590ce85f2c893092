"""Tests a chat program's repeated request: it makes one turn."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar
from uuid import UUID

import pytest

from shared.db.api import wait_slots
from shared.db.api.sessions import record_session_deletion
from shared.db.protocol import ACCEPT
from shared.errors import (
    BudgetExceeded,
    IdempotencyKeyReused,
    SessionDeleted,
    TurnConflict,
)
from shared.turns import conversations
from tests.support.chat_program import ChatProgram
from tests.support.council_room import DEADLINE_S, CouncilRoom, answer, wait_for
from tests.support.heard import Heard

HASH = b"h" * 32
CALL: dict[str, Any] = {"model": None, "alias": "fast"}


@pytest.fixture
def program(room: CouncilRoom) -> ChatProgram:
    return ChatProgram(room)


@pytest.fixture
def others(room: CouncilRoom) -> Any:
    """A runner on another connection."""
    return room.runner(db=room.open_database())


class TestAtOnce:
    def test_request_that_runs_is_refused_with_its_turn(self, program: ChatProgram, others: Any) -> None:
        room, refusals = program.room, list[Any]()

        def second(_: object) -> Any:
            refusals.append(program.refused(TurnConflict, "one", request_hash=HASH, runner=others))
            return answer()

        room.provider.enqueue(second)
        turn = program.ask("one", request_hash=HASH)
        assert refusals[0].extra == {"active_turn_id": turn["id"]}
        assert refusals[0].retry_after_s >= 1
        assert len(program.sessions) == len(room.provider.requests) == 1

    @pytest.mark.parametrize("fields", [{}, {"name": "chat"}, CALL])
    def test_one_turn_is_made_when_both_requests_found_none(
        self, program: ChatProgram, others: Any, fields: dict[str, Any]
    ) -> None:
        room, refused = program.room, threading.Event()

        def wait(_: object) -> Any:
            assert refused.wait(DEADLINE_S)
            return answer()

        room.provider.enqueue(wait)
        with ThreadPoolExecutor(1) as pool:

            def overtake() -> None:
                made.append(pool.submit(program.ask, "one", request_hash=HASH, runner=others, **fields))
                wait_for(lambda: room.provider.requests)

            made: list[Any] = []
            room.db.before(ACCEPT, overtake)
            conflict = program.refused(TurnConflict, "one", request_hash=HASH, **fields)
            refused.set()
            turn = made[0].result(DEADLINE_S)
        assert conflict.extra == {"active_turn_id": turn["id"]}
        assert len(program.sessions) == len(room.rows("SELECT FROM turns")) == len(room.provider.requests) == 1

    def test_request_may_come_again_once_its_turn_has_ended(self, program: ChatProgram) -> None:
        assert program.session("one", request_hash=HASH) != program.session("one", request_hash=HASH)


class TestRetries:
    RETRY: ClassVar[dict[str, Any]] = {"request_hash": HASH, "is_retry": True}

    def test_retry_gets_the_turn_and_nothing_is_paid_again(self, program: ChatProgram) -> None:
        first = program.ask("one", request_hash=HASH)
        heard = Heard()
        assert program.ask("one", **self.RETRY) == first
        assert program.ask("one", listener=heard, **self.RETRY) == first
        assert heard.names == ["turn", "turn.ended"]
        assert len(program.room.provider.requests) == len(program.room.rows("SELECT FROM usage_ledger")) == 1

    def test_retry_waits_for_the_turn_that_runs(
        self, program: ChatProgram, others: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(conversations, "_POLL_S", 0.01)
        room, heard = program.room, Heard()
        with ThreadPoolExecutor(1) as pool:
            retried: list[Any] = []

            def retry(_: object) -> Any:
                retried.append(pool.submit(program.ask, "one", runner=others, listener=heard, **self.RETRY))
                wait_for(lambda: "turn" in heard.names)
                wait_for(lambda: room.rows("SELECT FROM waits WHERE ends_at > clock_timestamp()"))
                return answer()

            room.provider.enqueue(retry)
            first = program.ask("one", request_hash=HASH)
            assert retried[0].result(DEADLINE_S) == first
        assert heard.names == ["turn", "turn.ended"]
        assert len(room.provider.requests) == 1

    @pytest.mark.parametrize(("seconds", "slots"), [(0.5, 8), (1.2, 8), (600.0, 0)])
    def test_retry_gets_the_turn_as_it_stands_without_time_or_slot(
        self, program: ChatProgram, monkeypatch: pytest.MonkeyPatch, seconds: float, slots: int
    ) -> None:
        monkeypatch.setattr(wait_slots, "SLOTS", slots)
        room, heard = program.room, Heard()
        others = room.runner(db=room.open_database(), seconds_left=lambda: seconds)

        def retry(_: object) -> Any:
            turn = program.ask("one", runner=others, listener=heard, **self.RETRY)
            assert turn["status"] == "running"
            return answer()

        room.provider.enqueue(retry)
        program.ask("one", request_hash=HASH)
        assert heard.names == ["turn", "turn.handed_over"]

    def test_ninth_wait_of_a_tenant_is_handed_over_at_once(self, program: ChatProgram) -> None:
        room, heard = program.room, Heard()
        others = room.runner(db=room.open_database(), seconds_left=lambda: 600.0)
        room.owner.execute(
            "INSERT INTO waits SELECT %s, n, now() + interval '1 hour' FROM generate_series(1, 8) n", (room.tenant_id,)
        )

        def retry(_: object) -> Any:
            assert program.ask("one", runner=others, listener=heard, **self.RETRY)["status"] == "running"
            return answer()

        room.provider.enqueue(retry)
        program.ask("one", request_hash=HASH)
        assert heard.names == ["turn", "turn.handed_over"]

    def test_retry_ten_minutes_after_the_end_is_a_new_request(self, program: ChatProgram) -> None:
        first = program.ask("one", request_hash=HASH)
        earlier = "created_at = created_at - interval '11 minutes'"
        program.room.owner.execute(f"UPDATE turns SET {earlier}".encode())
        assert program.ask("one", **self.RETRY)["id"] == first["id"], "a long turn has just ended"
        program.room.owner.execute("UPDATE turns SET completed_at = completed_at - interval '10 minutes'")
        assert program.ask("one", **self.RETRY)["id"] != first["id"]

    def test_retry_of_a_message_that_came_again_later_in_its_conversation_is_a_new_request(
        self, program: ChatProgram
    ) -> None:
        first = program.ask("ok", name="chat", request_hash=HASH)
        program.ask("And then?", name="chat")
        program.room.limit_to("spent_usd")
        program.refused(BudgetExceeded, "ok", name="chat", request_hash=HASH)
        program.room.limit(None)
        second = program.ask("ok", name="chat", **self.RETRY)
        assert (second["session_id"], second["turn_index"]) == (first["session_id"], 3)
        assert program.ask("ok", name="chat", **self.RETRY) == second

    def test_retry_of_a_message_whose_name_means_another_session_by_now_is_a_new_request(
        self, program: ChatProgram
    ) -> None:
        first = program.ask("ok", name="chat", request_hash=HASH)
        edited = program.session("edited", "An answer.", "two", name="chat")
        second = program.ask("ok", name="chat", **self.RETRY)
        assert second["session_id"] == edited != first["session_id"]

    def test_retry_is_never_answered_by_an_older_turn_than_the_newest(self, program: ChatProgram) -> None:
        program.ask("hello", request_hash=HASH)
        newest = program.session("hello", request_hash=HASH)
        assert program.session("hello", "An answer.", "two") == newest
        assert program.ask("hello", **self.RETRY)["turn_index"] == 1
        assert len(program.sessions) == 3

    def test_retry_gets_the_newest_of_two_turns_of_the_same_message(self, program: ChatProgram) -> None:
        program.ask("ok", name="chat", request_hash=HASH)
        second = program.ask("ok", name="chat", request_hash=HASH)
        assert program.ask("ok", name="chat", **self.RETRY) == second

    def test_retry_with_a_key_of_its_own_is_a_new_request(self, program: ChatProgram) -> None:
        first = program.ask("one", request_hash=HASH)
        assert program.ask("one", idempotency_key="key-1", **self.RETRY)["id"] != first["id"]

    def test_retry_of_a_deleted_turn_is_a_new_request(self, program: ChatProgram) -> None:
        first = program.ask("one", request_hash=HASH)
        record_session_deletion(program.room.db, program.room.actor, UUID(first["session_id"]))
        assert program.ask("one", **self.RETRY)["id"] != first["id"]

    def test_retry_of_a_refused_request_is_taken(self, program: ChatProgram) -> None:
        program.room.limit(0)
        program.refused(BudgetExceeded, "one", request_hash=HASH)
        program.room.limit(None)
        assert program.ask("one", **self.RETRY)["status"] == "completed"

    def test_retry_of_a_call_asks_again_because_its_answer_is_not_stored(self, program: ChatProgram) -> None:
        program.ask("one", request_hash=HASH, **CALL)
        program.ask("one", **self.RETRY, **CALL)
        assert len(program.room.provider.requests) == 2


class TestKeys:
    KEY: ClassVar[dict[str, Any]] = {"request_hash": HASH, "idempotency_key": "key-1"}

    def test_key_gets_its_turn_although_the_conversation_is_a_new_one_each_time(self, program: ChatProgram) -> None:
        first = program.ask("one", **self.KEY)
        assert program.ask("one", **self.KEY) == first
        assert len(program.sessions) == len(program.room.provider.requests) == 1

    @pytest.mark.parametrize("key", [None, "key-2"])
    @pytest.mark.parametrize("fields", [{}, CALL])
    def test_same_request_with_another_key_is_another_request_while_the_first_runs(
        self, program: ChatProgram, others: Any, key: str | None, fields: dict[str, Any]
    ) -> None:
        def second(_: object) -> Any:
            asked = {**fields, "request_hash": HASH, "idempotency_key": key}
            assert program.ask("one", runner=others, **asked)["status"] == "completed"
            return answer()

        program.room.provider.enqueue(second)
        program.ask("one", **self.KEY, **fields)
        assert len(program.sessions) == len(program.room.provider.requests) == 2

    def test_key_of_the_release_before_gets_its_turn(self, program: ChatProgram) -> None:
        first = program.ask("one", **self.KEY)
        program.room.owner.execute("UPDATE turns SET request_hash = %s", (HASH,))
        assert program.ask("one", **self.KEY) == first

    @pytest.mark.parametrize("fields", [{}, CALL])
    def test_key_with_another_request_is_refused(self, program: ChatProgram, fields: dict[str, Any]) -> None:
        program.ask("one", **self.KEY)
        program.refused(IdempotencyKeyReused, "two", idempotency_key="key-1", **fields)
        assert len(program.sessions) == 1

    def test_key_of_a_posted_turn_is_refused(self, program: ChatProgram) -> None:
        program.room.take("@writer hello", idempotency_key="key-1")
        program.refused(IdempotencyKeyReused, "one", **self.KEY)

    def test_key_that_another_request_used_meanwhile_gets_its_turn(self, program: ChatProgram, others: Any) -> None:
        room, made = program.room, list[Any]()
        room.db.before(ACCEPT, lambda: made.append(program.ask("one", runner=others, **self.KEY)))
        assert program.ask("one", **self.KEY) == made[0]
        assert len(program.sessions) == len(room.provider.requests) == 1

    def test_key_of_a_deleted_turn_is_gone(self, program: ChatProgram) -> None:
        turn = program.ask("one", **self.KEY)
        record_session_deletion(program.room.db, program.room.actor, UUID(turn["session_id"]))
        program.refused(SessionDeleted, "one", **self.KEY)

    def test_key_of_a_call_is_refused_while_it_runs_and_gone_after_it(self, program: ChatProgram, others: Any) -> None:
        def second(_: object) -> Any:
            program.refused(TurnConflict, "one", runner=others, **self.KEY, **CALL)
            return answer()

        program.room.provider.enqueue(second)
        program.ask("one", **self.KEY, **CALL)
        assert "not stored" in program.refused(SessionDeleted, "one", **self.KEY, **CALL).detail
        assert len(program.room.provider.requests) == 1
