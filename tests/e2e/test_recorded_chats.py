"""Tests recorded requests of chat programs on the whole local stack."""

import json
from typing import Any

import httpx

from tests.clients.recorded import Recorded, libre_chat, litellm, open_webui
from tests.support.stack.chat_client import address, assistant, make_council, post, user
from tests.support.stack.tenant import Tenant

_SESSIONS = "SELECT session_id FROM turns WHERE tenant_id = %s AND mode <> 'call' ORDER BY created_at"
_PURPOSES = """SELECT t.mode, count(*)::int AS calls FROM llm_calls c JOIN turns t ON t.id = c.turn_id
    WHERE t.tenant_id = %s GROUP BY t.mode ORDER BY t.mode"""


def send(tenant: Tenant, recorded: Recorded) -> httpx.Response:
    headers, body = recorded
    answer = post(tenant, body, **headers)
    assert answer.status_code == 200, answer.text
    return answer


def sessions_of(tenant: Tenant) -> list[Any]:
    """The session of each turn, in the order of the turns."""
    return [row["session_id"] for row in tenant.rows(_SESSIONS, tenant.id)]


def text_of(answer: httpx.Response) -> str:
    lines = [line.removeprefix("data: ") for line in answer.text.split("\n") if line.startswith("data: {")]
    choices = [choice for line in lines for choice in json.loads(line)["choices"]]
    return "".join(choice["delta"].get("content", "") for choice in choices)


def test_first_message_in_open_webui_is_one_council_and_three_plain_calls(tenant: Tenant) -> None:
    tenant.make_agents("writer", "critic")
    make_council(tenant, "panel", "roundtable", "writer", "critic")
    for recorded in open_webui("chat-1", [user("one")], "panel"):
        send(tenant, recorded)
    assert tenant.rows(_PURPOSES, tenant.id) == [{"mode": "call", "calls": 3}, {"mode": "roundtable", "calls": 2}]
    assert len(tenant.http.get("sessions").json()["items"]) == 1


def test_chat_in_open_webui_is_one_session(tenant: Tenant) -> None:
    tenant.make_agents("writer")
    first = text_of(send(tenant, next(open_webui("chat-1", [user("one")], "writer"))))
    talk = [user("one"), assistant(first), user("two")]
    for recorded in open_webui("chat-1", talk, "writer"):
        send(tenant, recorded)
    assert len(sessions_of(tenant)) == 2
    assert len(set(sessions_of(tenant))) == 1


def test_answer_that_is_asked_again_in_open_webui_starts_a_session(tenant: Tenant) -> None:
    tenant.make_agents("writer")
    for _ in range(2):
        send(tenant, next(open_webui("chat-1", [user("one"), assistant("Aha."), user("two")], "writer")))
    assert len(set(sessions_of(tenant))) == 2


def test_conversation_in_libre_chat_is_one_session_until_it_is_edited(tenant: Tenant) -> None:
    tenant.make_agents("writer")
    first = text_of(send(tenant, libre_chat("talk", [user("one")], "writer")))
    send(tenant, libre_chat("talk", [user("one"), assistant(first), user("two")], "writer"))
    send(tenant, libre_chat("talk", [user("one"), assistant(f"{first} Really."), user("two")], "writer"))
    once, again, edited = sessions_of(tenant)
    assert once == again != edited


def test_session_of_litellm_goes_on_without_history(tenant: Tenant) -> None:
    tenant.make_agents("writer")
    for text in ("one", "two"):
        send(tenant, litellm("talk", [user(text)], "writer"))
    assert len(set(sessions_of(tenant))) == 1


def test_address_of_responses_is_404_in_openais_form(tenant: Tenant) -> None:
    """n8n sends requests to this address unless it is configured otherwise."""
    answer = tenant.http.post(address(tenant, "responses"), json={"model": "writer", "input": "hello"})
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"
