"""Tests the same cases with every client, and checks its answers against the journal and the ledger."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any, ClassVar
from uuid import uuid4

import pytest

from local.stack import Stack
from tests.clients.program import Answer, Client, Program, User, started
from tests.e2e.test_crashes import port_of_last_query, worker_of
from tests.support.fake_provider import FakeProvider, moods
from tests.support.fake_provider.streamed import events_of
from tests.support.stack.chat_client import assistant, make_council, user
from tests.support.stack.tenant import Tenant

_PAUSE_S = 0.1
USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
_SESSIONS = "SELECT session_id FROM turns WHERE tenant_id = %s AND mode <> 'call' ORDER BY created_at"


def sessions_of(tenant: Tenant) -> list[Any]:
    """The session of each turn, in the order of the turns."""
    return [row["session_id"] for row in tenant.rows(_SESSIONS, tenant.id)]


def accounts_of(tenant: Tenant) -> list[str]:
    """The account of each call that was posted on the ledger."""
    query = "SELECT account FROM usage_ledger WHERE tenant_id = %s ORDER BY account"
    return [row["account"] for row in tenant.rows(query, tenant.id)]


class Chats:
    """Set `client` in a subclass."""

    client: ClassVar[Client]

    @pytest.fixture(scope="class")
    @classmethod
    def program(cls, stack: Stack) -> Iterator[Program]:
        with started(cls.client, f"{stack.url}/v1") as program:
            yield program

    @pytest.fixture
    def person(self, program: Program, tenant: Tenant) -> User:
        """A user whose tenant has the agent `writer`."""
        tenant.make_agents("writer")
        return User(program, tenant.http.headers["Authorization"].removeprefix("Bearer "))

    def test_models_are_listed_by_key(self, person: User) -> None:
        if self.client.lists_models:
            listed = person.models()
            assert listed[0] == "writer"
            assert "alias/fast" in listed

    @pytest.mark.parametrize("stream", [False, True])
    def test_turn_is_answered_and_stored(self, person: User, tenant: Tenant, stream: bool) -> None:
        answer = person.ask(user("hello there"), stream=stream, include_usage=True)
        assert (answer["text"], answer["finish_reason"]) == ("You said: hello there", "stop")
        assert answer["model"] == "writer"
        turn = tenant.row("SELECT id, session_id, status FROM turns WHERE tenant_id = %s", tenant.id)
        assert turn["status"] == "completed"
        (call,) = tenant.calls(turn["id"])
        total = call["posted_input"] + call["posted_output"]
        assert answer["usage"]["total_tokens"] == total
        if self.client.shows_all:
            assert answer["id"] == f"chatcmpl-{turn['id']}"
            assert answer["pantheon"]["session_id"] == str(turn["session_id"])
            assert Decimal(answer["pantheon"]["cost_usd"]) == call["amount_usd"]

    def test_stream_has_no_usage_unless_it_is_wanted(self, person: User) -> None:
        answer = person.ask(user("hello"), stream=True)
        assert (answer["text"], answer["usage"]) == ("You said: hello", None)

    def test_pieces_of_a_stream_come_as_the_model_says_them(
        self, person: User, tenant: Tenant, provider: FakeProvider
    ) -> None:
        message = {"role": "assistant", "content": "one two three"}
        said = events_of({"id": "1", "choices": [{"message": message, "finish_reason": "stop"}], "usage": USAGE})
        provider.add(moods.streamed(*said, stepped=True))
        with ThreadPoolExecutor() as threads:
            waiting = threads.submit(person.ask, user("count"), stream=True)
            tenant.wait_for_requests(1)
            for _ in said:
                # Pieces that wait for the client together come as one.
                time.sleep(_PAUSE_S)
                provider.step()
            answer = waiting.result()
        assert answer["text"] == "one two three"
        assert answer["pieces"] > 2

    def test_conversation_goes_on_by_its_history(self, person: User, tenant: Tenant) -> None:
        talk = [user("one")]
        for text in ("two", "three"):
            talk += [assistant(person.ask(*talk)["text"]), user(text)]
        assert person.ask(*talk, stream=True)["text"] == "You said: three"
        assert len(sessions_of(tenant)) == 3
        assert len(set(sessions_of(tenant))) == 1

    def test_edited_history_starts_another_session(self, person: User, tenant: Tenant) -> None:
        said = person.ask(user("one"))["text"]
        person.ask(user("another one"), assistant(said), user("two"))
        first, second = sessions_of(tenant)
        assert first != second
        shown = tenant.http.get(f"sessions/{second}").json()
        assert (shown["origin"], shown["imported"]) == ("chat", True)
        assert [each["content"] for each in tenant.requests[1].messages[1:]] == ["another one", said, "two"]

    def test_named_conversation_goes_on_without_history(self, person: User, tenant: Tenant) -> None:
        for text in ("one", "two"):
            person.ask(user(text), headers={"X-Conversation-Id": "talk"})
        assert len(set(sessions_of(tenant))) == 1

    def test_alias_is_called_without_a_session(self, person: User, tenant: Tenant) -> None:
        answer = person.ask(user("hello"), model="alias/fast")
        assert answer["text"] == "You said: hello"
        assert accounts_of(tenant) == ["tenant"]
        assert tenant.http.get("sessions").json()["items"] == []

    @pytest.mark.parametrize("stream", [False, True])
    def test_unknown_model_is_404_and_leaves_no_session(self, person: User, tenant: Tenant, stream: bool) -> None:
        answer = person.ask(user("hello"), model="nobody", stream=stream)
        assert self._error(answer) == self._told(404, "unknown_model")
        assert sessions_of(tenant) == []

    def test_wrong_key_is_401(self, person: User) -> None:
        assert person.ask(user("hello"), key="wrong")["error"]["status"] == 401

    def test_exceeded_budget_is_402_and_asks_no_model(self, person: User, tenant: Tenant) -> None:
        assert tenant.http.put("budget", json={"limit_usd": "0"}).status_code == 200
        assert self._error(person.ask(user("hello"))) == self._told(402, "budget_exceeded")
        assert (tenant.requests, accounts_of(tenant)) == ([], [])

    def test_failed_turn_is_502_with_its_code(self, person: User, tenant: Tenant, provider: FakeProvider) -> None:
        provider.add(moods.status(400), times=None)
        assert self._error(person.ask(user("hello"))) == self._told(502, "no_reply")
        assert "tenant" not in accounts_of(tenant)
        if self.client.is_openais:
            assert len(sessions_of(tenant)) == 1

    def test_two_conversations_at_once_are_two_turns(self, person: User, tenant: Tenant) -> None:
        answers = person.ask_together([[user("one")], [user("two")]], stream=True)
        assert [answer["text"] for answer in answers] == ["You said: one", "You said: two"]
        assert len(set(sessions_of(tenant))) == 2

    def test_same_request_twice_at_once_is_one_turn(self, person: User, tenant: Tenant, provider: FakeProvider) -> None:
        provider.add(moods.slow(1.5), times=None)
        first, second = person.ask_together([[user("once")]] * 2, **self._keyed(person))
        assert (first["text"], second["text"]) == ("You said: once", "You said: once")
        assert len(sessions_of(tenant)) == 1
        assert accounts_of(tenant) == ["tenant"]

    @pytest.mark.parametrize("stream", [False, True])
    def test_turn_of_a_killed_function_is_answered_and_charged_once(
        self, person: User, tenant: Tenant, provider: FakeProvider, stream: bool
    ) -> None:
        """The client sends the request again by itself, and gets the same turn, which the worker ends."""
        provider.add(moods.hold())
        asked, keyed = user("hello"), self._keyed(person, always=stream)
        with ThreadPoolExecutor() as threads:
            waiting = threads.submit(person.ask, asked, stream=stream, **keyed)
            tenant.wait_for_requests(1)
            os.kill(worker_of(port_of_last_query(tenant)), signal.SIGKILL)
            turn = tenant.row("SELECT id FROM turns WHERE tenant_id = %s", tenant.id)
            tenant.expire_lease(str(turn["id"]))
            answer = waiting.result()
        if stream and "error" in answer:
            # The response had begun. No client sends such a request again by itself.
            answer = person.ask(asked, stream=stream, **keyed)
        assert answer["text"] == "You said: hello"
        assert len(sessions_of(tenant)) == 1
        # The provider may have billed the first call. Nobody is charged for it twice.
        assert accounts_of(tenant) == ["suspense", "tenant"]

    def test_council_thinks_aloud_and_its_chair_concludes(
        self, person: User, tenant: Tenant, provider: FakeProvider
    ) -> None:
        tenant.make_agents("critic")
        make_council(tenant, "board", "council", "writer", "critic", fan_out="parallel")
        provider.add(moods.ok("So be it."), when="You chair this council", times=None)
        answer = person.ask(user("Shall we?"), model="board", stream=True)
        assert answer.get("text") == "So be it.", answer
        if self.client.shows_all:
            assert answer["reasoning"].startswith("**Writer:** ")
            assert "\n\n**Critic:** " in answer["reasoning"]

    def _error(self, answer: Answer) -> tuple[int, str | None]:
        """Status and code of the client's error."""
        error = answer["error"]
        return error["status"], error["code"] if self.client.keeps_codes else None

    def _told(self, status: int, code: str) -> tuple[int, str | None]:
        """Return the status and code that the client shows for Pantheon's error."""
        return status, code if self.client.keeps_codes else None

    def _keyed(self, person: User, *, always: bool = False) -> dict[str, Any]:
        """Fields with a key, for clients that do not say when they send a request again."""
        return self._with_key(person, str(uuid4())) if always or not self.client.is_openais else {}

    def _with_key(self, person: User, key: str) -> dict[str, Any]:  # noqa: ARG002 of subclasses
        return {"headers": {"Idempotency-Key": key}}
