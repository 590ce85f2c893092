"""Tests on a real database by which history or name a chat program's request continues a session."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from shared.db.protocol import ACCEPT
from shared.domain.actor import Actor
from shared.domain.conversation import Options
from shared.turns.conversations import take_chat
from tests.support.chat_program import ChatProgram
from tests.support.council_room import CouncilRoom, Killed, answer, body, prompt

Talk = Sequence[str]


@pytest.fixture
def program(room: CouncilRoom) -> ChatProgram:
    return ChatProgram(room)


class TestByHistory:
    def test_history_as_it_was_shown_continues_its_session(self, program: ChatProgram) -> None:
        first = program.session("one", says="two\nlines")
        assert program.session("one", " two\r\nlines\n", "three", says="four") == first
        assert program.session("one", "two\nlines", "three\n", "four", "five") == first
        (session,) = program.sessions
        assert (session["title"], session["visibility"], session["imported"]) == ("one", "private", None)
        assert prompt(program.room.provider.requests[2]).count("three") == 1

    def test_request_without_history_begins_a_session(self, program: ChatProgram) -> None:
        assert program.session("one") != program.session("one")

    @pytest.mark.parametrize(
        "talk",
        [
            ("another", "An answer.", "two"),
            ("one", "Another answer.", "two"),
            ("An answer.", "one", "two"),
            ("one", "An answer.", "two", "An answer.", "three"),
        ],
    )
    def test_history_that_is_not_stored_begins_a_session_with_it(self, program: ChatProgram, talk: Talk) -> None:
        first = program.session("one")
        second = program.session(*talk)
        assert second != first
        made = program.sessions[1]
        roles = ("user", "assistant")
        assert made["imported"] == [{"role": roles[i % 2], "content": text} for i, text in enumerate(talk[:-1])]
        sent = program.room.provider.requests[-1].messages
        assert [message.text for message in sent[1:]] == list(talk)

    def test_edited_message_leaves_the_session_as_it_was(self, program: ChatProgram) -> None:
        first = program.session("one")
        assert program.session("one", "An answer.", "two", says="three") == first
        edited = program.session("one", "An answer.", "two, edited")
        assert edited != first
        assert len(program.room.rows("SELECT FROM turns WHERE session_id = %s", first)) == 2
        assert program.session("one", "An answer.", "two", "three", "four") == first

    def test_imported_session_is_continued_by_its_whole_history(self, program: ChatProgram) -> None:
        imported = program.session("old", "older", "new", says="newer")
        assert program.session("old", "older", "new", "newer", "newest") == imported
        sent = program.room.provider.requests[-1].messages
        assert [message.text for message in sent[1:]] == ["old", "older", "new", "newer", "newest"]
        stored = program.room.rows("SELECT message FROM turns ORDER BY turn_index")
        assert [turn["message"] for turn in stored] == ["new", "newest"]

    def test_session_without_an_imported_past_is_chosen_first_then_the_newest(self, program: ChatProgram) -> None:
        older = program.session("one", says="two")
        newer = program.session("one", says="two")
        assert program.session("one", "two", "three", says="four") == newer != older
        imported = program.session("one", "two", "three", says="four", name="chat")
        assert imported > newer
        assert program.session("one", "two", "three", "four", "five") == newer

    def test_history_of_another_user_or_model_is_not_found(self, program: ChatProgram) -> None:
        first = program.session("one")
        assert program.session("one", "An answer.", "two", model="critic") != first
        other = replace(program.chat("one", "An answer.", "two"), actor=Actor(program.room.tenant_id, "user-2"))
        assert body(take_chat(program.room.runner(), other))["session_id"] != first

    def test_deleted_session_is_not_continued(self, program: ChatProgram) -> None:
        first = program.session("one")
        program.room.owner.execute("UPDATE sessions SET deleted_at = now(), title = '' WHERE origin = 'chat'")
        program.room.owner.execute("UPDATE turns SET deleted_at = now(), message = '', response = NULL")
        program.room.owner.execute("UPDATE replies SET text = NULL")
        assert program.session("one", "An answer.", "two") != first

    def test_failed_turn_is_no_part_of_the_history(self, program: ChatProgram) -> None:
        first = program.session("one")
        program.room.provider.enqueue(answer(""), answer(""), answer(""))
        assert program.ask("one", "An answer.", "two")["status"] == "failed"
        assert program.session("one", "An answer.", "two") == first

    def test_several_agents_are_remembered_as_they_are_shown(self, program: ChatProgram) -> None:
        program.room.owner.execute(
            """INSERT INTO councils (tenant_id, key, name, mode, agent_keys, fan_out, version)
            VALUES ('tenant-1', 'panel', 'Panel', 'roundtable', '{writer,critic}', 'sequential', 1)"""
        )
        program.room.provider.enqueue(answer("One."), answer("Two."))
        first = program.ask("hello", model="panel")
        assert first["output"] == "Writer: One.\n\nCritic: Two."
        program.room.provider.enqueue(answer("Three."), answer("Four."))
        shown = "**Writer:** One.\n\n**Critic:** Two."
        assert program.ask("hello", shown, "on", model="panel")["session_id"] == first["session_id"]


class TestByName:
    def test_name_continues_its_session_with_or_without_history(self, program: ChatProgram) -> None:
        first = program.session("one", name="chat")
        assert program.session("two", name="chat", says="three") == first
        assert program.session("one", "An answer.", "two", "three", "four", name="chat") == first
        assert program.session("one") != first

    def test_name_with_another_history_means_a_new_session_from_then_on(self, program: ChatProgram) -> None:
        first = program.session("one", name="chat")
        second = program.session("edited", "An answer.", "two", name="chat", says="three")
        assert second != first
        assert program.session("on", name="chat") == second

    def test_name_with_another_model_means_a_new_session(self, program: ChatProgram) -> None:
        first = program.session("one", name="chat")
        assert program.session("two", name="chat", model="critic") != first

    def test_name_belongs_to_a_user(self, program: ChatProgram) -> None:
        first = program.session("one", name="chat")
        other = replace(program.chat("two", name="chat"), actor=Actor(program.room.tenant_id, "user-2"))
        assert body(take_chat(program.room.runner(), other))["session_id"] != first

    def test_name_of_a_deleted_session_means_a_new_one(self, program: ChatProgram) -> None:
        first = program.session("one", name="chat")
        program.room.owner.execute("UPDATE sessions SET deleted_at = now(), title = '' WHERE origin = 'chat'")
        program.room.owner.execute("UPDATE turns SET deleted_at = now(), message = '', response = NULL")
        program.room.owner.execute("UPDATE replies SET text = NULL")
        assert program.session("two", name="chat") != first

    def test_system_messages_are_kept_as_the_newest_request_has_them(self, program: ChatProgram) -> None:
        program.session("one", name="chat", instructions="Be brief.")
        program.session("two", name="chat", instructions="Be kind.")
        assert [session["instructions"] for session in program.sessions] == ["Be kind."]
        first, second = (prompt(request) for request in program.room.provider.requests)
        assert ("Be brief." in first, "Be brief." in second, "Be kind." in second) == (True, False, True)
        program.session("three", name="chat")
        assert [session["instructions"] for session in program.sessions] == [None]

    def test_two_first_requests_of_a_name_at_once_share_a_session(self, program: ChatProgram) -> None:
        """The second request searches before the first one is accepted."""
        other = program.room.runner(db=program.room.open_database())
        program.room.provider.enqueue(answer("First."), answer("Second."))
        found: list[str] = []
        program.room.db.before(
            ACCEPT, lambda: found.append(program.ask("one", name="chat", runner=other)["session_id"])
        )
        found.append(program.ask("two", name="chat")["session_id"])
        assert found[0] == found[1]
        assert len(program.sessions) == 1
        turns = program.room.rows("SELECT message FROM turns ORDER BY turn_index")
        assert [turn["message"] for turn in turns] == ["one", "two"]


def test_request_lowers_caps_and_gives_a_temperature_to_agents_without_one(program: ChatProgram) -> None:
    program.room.change_agent("critic", temperature=0.25)
    for model, cap in (("writer", 20), ("writer", 1000), ("critic", 20)):
        program.ask("one", model=model, options=Options(cap, 0.75))
    sent = [(request.max_output_tokens, request.temperature) for request in program.room.provider.requests]
    assert sent == [(20, 0.75), (100, 0.75), (20, 0.25)]


def test_turn_that_is_resumed_keeps_its_options_and_its_history(program: ChatProgram) -> None:
    room = program.room

    def die(_: object) -> Any:
        raise Killed

    room.provider.enqueue(die)
    with pytest.raises(Killed):
        program.ask("old", "older", "new", options=Options(20, 0.75), instructions="Be brief.")
    (turn,) = room.rows("SELECT id, session_id FROM turns")
    room.expire_lease()
    room.provider.enqueue(answer("newer"))
    room.resume(turn["id"])
    first, again = room.provider.requests
    assert (again.messages, again.max_output_tokens, again.temperature) == (first.messages, 20, 0.75)
    assert program.session("old", "older", "new", "newer", "newest") == str(turn["session_id"])
