"""Tests that a chat program's refused request leaves nothing, and that an accepted one takes few round trips."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from shared.db.engine import Database, Params, Statement
from shared.db.protocol import ACCEPT
from shared.errors import (
    BudgetExceeded,
    NoAgent,
    PantheonError,
    RateLimited,
    TooManyActiveTurns,
    TurnConflict,
    UnknownModel,
)
from shared.names import Env
from shared.settings import settings
from tests.support.chat_program import ChatProgram
from tests.support.council_room import DEADLINE_S, CouncilRoom, Killed, answer, prompt, wait_for

CALL: dict[str, Any] = {"model": None, "alias": "fast"}
REFUSED: dict[str, type[PantheonError]] = {
    Env.TURNS_PER_MINUTE: RateLimited,
    Env.TENANT_ACTIVE_TURNS: TooManyActiveTurns,
}


@pytest.fixture
def program(room: CouncilRoom) -> ChatProgram:
    return ChatProgram(room)


def _disabled(room: CouncilRoom) -> None:
    room.owner.execute(
        """INSERT INTO councils (tenant_id, key, name, mode, agent_keys, fan_out, version)
        VALUES ('tenant-1', 'panel', 'Panel', 'roundtable', '{writer}', 'sequential', 1)"""
    )
    room.change_agent("writer", enabled=False)


@pytest.mark.parametrize("fields", [{}, {"name": "chat"}, CALL])
def test_refused_first_turn_leaves_no_session(program: ChatProgram, fields: dict[str, Any]) -> None:
    program.room.limit(0)
    program.refused(BudgetExceeded, "one", instructions="Be brief.", **fields)
    assert program.sessions == program.room.rows("SELECT FROM conversations") == []
    assert program.room.rows("SELECT FROM turns") == []
    program.room.limit(None)
    assert program.ask("one", **fields)["status"] == "completed"


def test_council_without_an_enabled_agent_leaves_no_session(
    program: ChatProgram,
) -> None:
    _disabled(program.room)
    program.refused(NoAgent, "one", model="panel")
    assert program.sessions == []


def test_name_means_its_old_session_again_where_its_new_one_was_refused(program: ChatProgram) -> None:
    first = program.session("one", name="chat")
    program.room.limit_to("spent_usd")
    program.refused(BudgetExceeded, "edited", "An answer.", "two", name="chat")
    program.room.limit(None)
    assert program.session("two", name="chat") == first


def test_refused_turn_leaves_the_session_that_it_would_have_continued(program: ChatProgram) -> None:
    first = program.session("one", name="chat")
    program.room.limit_to("spent_usd")
    program.refused(BudgetExceeded, "two", name="chat")
    program.room.limit(None)
    assert program.session("two", name="chat") == first


def test_refused_turn_keeps_the_system_messages_of_its_session(program: ChatProgram) -> None:
    program.session("one", name="chat", instructions="Be brief.")
    program.room.limit_to("spent_usd")
    program.refused(BudgetExceeded, "two", name="chat", instructions="Be kind.")
    assert [session["instructions"] for session in program.sessions] == ["Be brief."]


def test_request_refused_while_a_turn_runs_leaves_what_a_resumed_turn_is_told(program: ChatProgram) -> None:
    room, other = program.room, program.room.runner(db=program.room.open_database())

    def die(_: object) -> Any:
        program.refused(TurnConflict, "two", name="chat", instructions="Be kind.", runner=other)
        raise Killed

    program.session("one", name="chat", instructions="Be brief.")
    room.provider.enqueue(die, answer("Again."))
    with pytest.raises(Killed):
        program.ask("more", name="chat", instructions="Be exact.")
    room.expire_lease()
    room.resume(room.row("SELECT id FROM turns WHERE status = 'running'")["id"])
    _, first, again = room.provider.requests
    assert again.messages == first.messages
    assert "Be exact." in prompt(again)


def test_request_that_another_one_outran_changes_no_system_messages(program: ChatProgram) -> None:
    other = program.room.runner(db=program.room.open_database())
    refused = threading.Event()

    def wait(_: object) -> Any:
        assert refused.wait(DEADLINE_S)
        return answer()

    def overtake() -> None:
        pool.submit(program.ask, "two", name="chat", instructions="Be kind.", runner=other)
        wait_for(lambda: len(program.room.provider.requests) == 2)

    program.session("one", name="chat", instructions="Be brief.")
    program.room.provider.enqueue(wait)
    with ThreadPoolExecutor(1) as pool:
        program.room.db.before(ACCEPT, overtake)
        program.refused(TurnConflict, "three", name="chat", instructions="Be exact.")
        kept = [session["instructions"] for session in program.sessions]
        refused.set()
    assert kept == ["Be kind."]


@pytest.mark.parametrize("bound", [Env.TURNS_PER_MINUTE, Env.TENANT_ACTIVE_TURNS])
def test_request_over_a_bound_writes_nothing(program: ChatProgram, bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    room, tried = program.room, list[bool]()
    monkeypatch.setenv(bound, "1")
    settings.cache_clear()
    room.take(later=True)
    room.db.before(ACCEPT, lambda: tried.append(True))
    program.refused(REFUSED[bound], "old", "older", "new", name="chat")
    assert (tried, program.sessions) == ([], [])


def test_history_is_written_after_the_last_refusal() -> None:
    names = [part.name for part in ACCEPT.parts]
    refusing = [part.name for part in ACCEPT.parts if "public.refuse(" in part.text]
    assert max(map(names.index, refusing)) < names.index("told")
    assert [part.name for part in ACCEPT.parts if "t_imported" in part.params] == ["told"]


@pytest.mark.parametrize("model", ["nobody", "researcher", ""])
def test_unknown_and_disabled_models_are_refused(program: ChatProgram, model: str) -> None:
    program.room.change_agent("researcher", enabled=False)
    assert program.refused(UnknownModel, "one", model=model).extra == {"param": "model"}
    assert program.sessions == []


def test_disabled_agent_is_unknown_to_its_conversations_too(program: ChatProgram) -> None:
    program.session("one", name="chat")
    program.room.change_agent("writer", enabled=False)
    program.refused(UnknownModel, "two", name="chat")


def test_unknown_alias_is_refused(program: ChatProgram) -> None:
    program.refused(UnknownModel, "one", model=None, alias="slow")
    assert program.sessions == []


def test_conversation_takes_one_round_trip_more_than_a_posted_turn(
    program: ChatProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    trips, run_all = list[tuple[Statement, ...]](), Database.run_all

    def counted(self: Database, tenant_id: str | None, *work: tuple[Statement, Params], **rest: Any) -> Any:
        trips.append(tuple(statement for statement, _ in work))
        return run_all(self, tenant_id, *work, **rest)

    monkeypatch.setattr(Database, "run_all", counted)

    def trips_of(ask: Callable[[], object]) -> int:
        trips.clear()
        ask()
        return len(trips)

    posted = trips_of(lambda: program.room.take("@writer hello"))
    assert trips_of(lambda: program.session("one", name="chat", instructions="Be brief.")) == posted + 1
    assert trips_of(lambda: program.session("two", name="chat", instructions="Be brief.")) == posted + 1
    changed = trips_of(lambda: program.session("three", name="chat", instructions="Be kind."))
    assert (changed, trips_of(lambda: program.ask("one", **CALL))) == (posted + 1, posted)
