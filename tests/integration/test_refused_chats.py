"""A chat program's request that is refused leaves nothing, and one that is not takes few round trips."""

from collections.abc import Callable
from typing import Any

import pytest

from shared.db.engine import Database, Params, Statement
from shared.errors import BudgetExceeded, NoAgent, UnknownModel
from tests.chat_program import ChatProgram
from tests.council_room import CouncilRoom

CALL: dict[str, Any] = {"model": None, "alias": "fast"}


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
    assert program.sessions == []
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


def test_new_conversation_takes_two_round_trips_more_than_a_posted_turn(
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
    assert trips_of(lambda: program.session("one", name="chat", instructions="Be brief.")) == posted + 2
    assert trips_of(lambda: program.session("two", name="chat", instructions="Be brief.")) == posted + 1
    assert trips_of(lambda: program.ask("one", **CALL)) == posted + 1
