"""Tests questions by the key of an agent or a council on a real database: the agents, the session, and one answer."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.db.api import sessions
from shared.domain.actor import Actor
from shared.domain.turn_events import Delta, Event
from shared.errors import (
    BudgetExceeded,
    DatabaseUnavailable,
    IdempotencyKeyReused,
    InvalidRequest,
    JournalUnavailable,
    NotFound,
    PantheonError,
    SessionDeleted,
    TurnConflict,
    UnknownAgent,
    UnknownModel,
)
from shared.turns.question import Question, take_question
from shared.turns.run import Runner
from tests.support.council_room import CouncilRoom, Killed, answer, body

ROSTER = ["writer", "researcher", "critic"]


def question(room: CouncilRoom, key: str = "writer", **fields: Any) -> Question:
    """A question with a key of its own, unless it is given one."""
    given = {"actor": room.actor, "message": "@critic hello", "idempotency_key": str(uuid4()), **fields}
    return Question(key=key, **given)


def ask(room: CouncilRoom, key: str = "writer", **fields: Any) -> dict[str, Any]:
    return body(take_question(room.runner(), question(room, key, **fields)))


def refused(room: CouncilRoom, error: type[PantheonError], key: str = "writer", **fields: Any) -> PantheonError:
    with pytest.raises(error) as caught:
        ask(room, key, **fields)
    assert type(caught.value) is error
    return caught.value


def make_council(
    room: CouncilRoom, key: str, mode: str = "tag", agent_keys: list[str] = ROSTER, version: int = 1
) -> None:
    room.owner.execute(
        """INSERT INTO councils (tenant_id, key, name, mode, agent_keys, fan_out, version)
        VALUES (%s, %s, %s, %s, %s, 'sequential', %s)""",
        (room.tenant_id, key, key.title(), mode, agent_keys, version),
    )


def die(_: object) -> Any:
    raise Killed


def turns(room: CouncilRoom) -> int:
    return int(room.row("SELECT count(*) AS n FROM turns")["n"])


def keys(turn: dict[str, Any]) -> list[str]:
    return [reply["agent_key"] for reply in turn["replies"]]


def test_question_without_a_session_begins_one_with_the_agents_of_its_key(room: CouncilRoom) -> None:
    make_council(room, "board")
    room.provider.enqueue(answer("one"), answer("two"))
    alone, council = ask(room), ask(room, "board")
    assert (keys(alone), keys(council)) == (["writer"], ["critic"])
    made = room.rows("SELECT model, mode, origin, visibility FROM sessions WHERE origin <> 'api' ORDER BY id")
    assert [tuple(row.values()) for row in made] == [
        ("writer", "manual", "chat", "private"),
        ("board", "tag", "chat", "private"),
    ]


def test_question_in_the_session_of_its_key_is_for_all_of_its_agents(room: CouncilRoom) -> None:
    make_council(room, "board")
    room.provider.enqueue(answer("one"), answer("two"), answer("three"))
    session_id = UUID(ask(room, "board")["session_id"])
    again = ask(room, "board", session_id=session_id)
    assert (again["session_id"], again["turn_index"], again["mode"], keys(again)) == (
        str(session_id),
        2,
        "tag",
        ["critic"],
    )
    room.owner.execute("UPDATE councils SET deleted_at = now() WHERE key = 'board'")
    assert ask(room, "board", session_id=session_id)["turn_index"] == 3


def test_agent_of_a_session_answers_alone(room: CouncilRoom) -> None:
    room.provider.enqueue(answer("one"))
    turn = ask(room, "writer", session_id=room.session_id)
    assert (turn["session_id"], turn["mode"], keys(turn)) == (str(room.session_id), "manual", ["writer"])


def test_council_with_the_agents_of_a_session_answers_there(room: CouncilRoom) -> None:
    make_council(room, "board")
    room.provider.enqueue(answer("one"))
    assert keys(ask(room, "board", session_id=room.session_id)) == ["critic"]


@pytest.mark.parametrize(
    ("key", "error"),
    [("other", InvalidRequest), ("outsider", UnknownAgent), ("nobody", UnknownModel), ("disabled", UnknownModel)],
)
def test_key_that_is_not_of_the_session_is_refused(room: CouncilRoom, key: str, error: type[PantheonError]) -> None:
    make_council(room, "other", agent_keys=["writer", "critic"])
    room.make_agent("outsider")
    room.make_agent("disabled", enabled=False)
    refused(room, error, key, session_id=room.session_id)
    assert (turns(room), room.provider.requests) == (0, [])


@pytest.mark.parametrize("actor", [Actor("tenant-1", "user-2"), Actor("tenant-2", "user-1", is_admin=True)])
def test_session_that_the_caller_does_not_see_is_not_there(room: CouncilRoom, actor: Actor) -> None:
    room.owner.execute("UPDATE sessions SET visibility = 'private'")
    for key in ("writer", "nobody"):
        assert (
            refused(room, NotFound, key, session_id=room.session_id, actor=actor).detail == "There is no such session."
        )
    refused(room, NotFound, session_id=uuid4())


def test_session_of_a_call_is_not_there(room: CouncilRoom) -> None:
    room.owner.execute("UPDATE sessions SET origin = 'call', mode = 'call', model = 'fast'")
    for key in ("writer", "fast", "nobody"):
        refused(room, NotFound, key, session_id=room.session_id)
    assert room.provider.requests == []


def test_refusal_of_a_new_session_leaves_none(room: CouncilRoom) -> None:
    room.limit(0)
    refused(room, BudgetExceeded)
    assert room.rows("SELECT id FROM sessions WHERE origin = 'chat'") == []


@pytest.mark.parametrize("in_session", [False, True])
def test_key_is_asked_once(room: CouncilRoom, in_session: bool) -> None:
    where: dict[str, Any] = {"session_id": room.session_id} if in_session else {}
    room.provider.enqueue(answer("one"))
    first, again = (ask(room, idempotency_key="k", **where) for _ in range(2))
    assert first == again
    refused(room, IdempotencyKeyReused, idempotency_key="k", message="another", **where)
    assert len(room.provider.requests) == 1


@pytest.mark.parametrize("key", ["writer", "board"])
def test_key_gets_its_turn_after_its_agents_changed(room: CouncilRoom, key: str) -> None:
    make_council(room, "board")
    room.provider.enqueue(answer("one"))
    first = ask(room, key, idempotency_key="k", session_id=room.session_id)
    room.owner.execute("UPDATE councils SET deleted_at = now()")
    room.change_agent("writer", enabled=False)
    assert ask(room, key, idempotency_key="k", session_id=room.session_id) == first
    refused(room, IdempotencyKeyReused, key, idempotency_key="k", message="another", session_id=room.session_id)
    refused(room, UnknownModel, key, idempotency_key="another", session_id=room.session_id)


def test_key_of_a_deleted_session_is_gone(room: CouncilRoom) -> None:
    room.provider.enqueue(answer("one"))
    ask(room, idempotency_key="k", session_id=room.session_id)
    sessions.record_session_deletion(room.db, room.actor, room.session_id)
    refused(room, SessionDeleted, idempotency_key="k", session_id=room.session_id)


@pytest.mark.parametrize("in_session", [False, True])
def test_key_whose_turn_runs_is_followed_while_there_is_time(room: CouncilRoom, in_session: bool) -> None:
    asked = question(room, session_id=room.session_id if in_session else None)
    room.provider.enqueue(die)
    with pytest.raises(Killed):
        take_question(room.runner(), asked)
    heard = list[Event | Delta]()
    late = Runner(room.db, room.provider, lambda: 1.3)
    outcome = take_question(late, asked, heard.append)
    assert (outcome.ended, outcome.handed_over, turns(room)) == (False, False, 1)
    assert [event.name for event in heard if isinstance(event, Event)][-1] == "turn.handed_over"
    room.expire_lease()
    room.provider.enqueue(answer("one"))
    room.resume(outcome.turn_id)
    assert body(take_question(room.runner(), asked))["id"] == str(outcome.turn_id)
    assert body(take_question(room.runner(), asked))["status"] == "completed"


@pytest.mark.parametrize("in_session", [False, True])
def test_key_whose_turn_ends_while_it_waits_gets_the_answer(
    room: CouncilRoom, monkeypatch: pytest.MonkeyPatch, in_session: bool
) -> None:
    asked = question(room, session_id=room.session_id if in_session else None)
    room.provider.enqueue(die, answer("one"))
    with pytest.raises(Killed):
        take_question(room.runner(), asked)
    turn_id, other = room.row("SELECT id FROM turns")["id"], room.runner(db=room.open_database())

    def end(_: float) -> None:
        room.expire_lease()
        room.resume(turn_id, other)

    monkeypatch.setattr("shared.turns.conversations.time.sleep", end)
    outcome = take_question(room.runner(), asked)
    assert (outcome.turn_id, outcome.status, len(room.provider.requests)) == (turn_id, "completed", 2)


@pytest.mark.parametrize("where", ["in a session", "without a key of the client's"])
def test_same_question_is_refused_while_the_first_runs(room: CouncilRoom, where: str) -> None:
    fields: dict[str, Any] = {"session_id": room.session_id} if where == "in a session" else {"has_own_key": False}
    room.provider.enqueue(die)
    with pytest.raises(Killed):
        ask(room, **fields)
    refused(room, TurnConflict, **fields)
    assert (turns(room), len(room.provider.requests)) == (1, 1)


def test_same_question_with_a_key_of_its_own_is_asked_while_the_first_runs(room: CouncilRoom) -> None:
    room.provider.enqueue(die, answer("two"))
    with pytest.raises(Killed):
        ask(room)
    assert ask(room)["output"] == "two"
    assert turns(room) == 2


def test_dead_database_is_an_error_before_any_call(room: CouncilRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise DatabaseUnavailable

    monkeypatch.setattr(room.db, "read_all", fail)
    for session_id in (None, room.session_id):
        refused(room, JournalUnavailable, session_id=session_id)
    assert room.provider.requests == []
