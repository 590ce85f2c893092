"""POST /v1/chat/completions over HTTP on the whole local stack: answers, streams, conversations, calls and refusals."""

import json
from typing import Any

import httpx

from tests.e2e.tenant import Tenant
from tests.fake_provider import FakeProvider, moods

Message = dict[str, str]


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def assistant(text: str) -> Message:
    return {"role": "assistant", "content": text}


def post(tenant: Tenant, body: dict[str, Any], **headers: str) -> httpx.Response:
    url = str(tenant.http.base_url).removesuffix("/api/v1/")
    return tenant.http.post(f"{url}/v1/chat/completions", json=body, headers=headers)


def ask(tenant: Tenant, *messages: Message, model: str = "writer", **fields: Any) -> dict[str, Any]:
    answer = post(tenant, {"model": model, "messages": messages, **fields})
    assert answer.status_code == 200, answer.text
    read: dict[str, Any] = answer.json()
    return read


def chunks_of(answer: httpx.Response) -> list[dict[str, Any]]:
    """The chunks of a whole stream, which ends with [DONE]."""
    assert answer.headers["content-type"] == "text/event-stream"
    lines = [line.removeprefix("data: ") for line in answer.text.split("\n") if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def content_of(chunks: list[dict[str, Any]], channel: str = "content") -> str:
    return "".join(choice["delta"].get(channel, "") for chunk in chunks for choice in chunk["choices"])


def test_agent_answers_as_a_model(tenant: Tenant) -> None:
    tenant.make_agents("writer")
    answer = ask(tenant, user("hello"))
    turn = tenant.http.get(f"turns/{answer['pantheon']['turn_id']}").json()
    assert answer["id"] == f"chatcmpl-{turn['id']}"
    assert answer["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "You said: hello", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert answer["pantheon"] == {
        "turn_id": turn["id"],
        "session_id": turn["session_id"],
        "cost_usd": turn["cost_usd"],
        "platform_cost_usd": turn["platform_cost_usd"],
        "plan": turn["plan"],
        "replies": turn["replies"],
    }


def test_stream_has_the_same_text_as_the_answer(tenant: Tenant) -> None:
    tenant.make_agents("writer")
    body = {"model": "writer", "messages": [user("hello")], "stream": True, "stream_options": {"include_usage": True}}
    chunks = chunks_of(post(tenant, body))
    assert content_of(chunks) == "You said: hello"
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["total_tokens"] > 0


def test_conversation_goes_on_by_its_history(tenant: Tenant) -> None:
    tenant.make_agents("writer")
    first = ask(tenant, user("one"))
    said = first["choices"][0]["message"]["content"]
    second = ask(tenant, user("one"), assistant(f"\n{said} "), user("two"))
    assert second["pantheon"]["session_id"] == first["pantheon"]["session_id"]
    assert [(m["role"], m["content"]) for m in tenant.requests[1].messages[1:]] == [
        ("user", "one"),
        ("assistant", said),
        ("user", "two"),
    ]


def test_alias_is_called_without_a_session(tenant: Tenant) -> None:
    answer = ask(tenant, {"role": "system", "content": "Be brief."}, user("hello"), model="alias/fast")
    (call,) = tenant.rows("SELECT call_id FROM llm_calls WHERE tenant_id = %s", tenant.id)
    assert answer["id"] == f"chatcmpl-{call['call_id']}"
    assert (answer["pantheon"]["turn_id"], answer["pantheon"]["session_id"]) == (None, None)
    assert [(m["role"], m["content"]) for m in tenant.requests[0].messages] == [
        ("system", "Be brief."),
        ("user", "hello"),
    ]
    assert tenant.http.get("sessions").json()["items"] == []


def test_unknown_model_is_an_error_of_openais(tenant: Tenant) -> None:
    answer = post(tenant, {"model": "nobody", "messages": [user("hello")]})
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert (error["code"], error["param"], error["type"]) == ("unknown_model", "model", "invalid_request_error")
    assert answer.headers["x-should-retry"] == "false"
    assert tenant.rows("SELECT id FROM sessions WHERE tenant_id = %s", tenant.id) == []


def test_failed_turn_is_502_with_its_code(tenant: Tenant, provider: FakeProvider) -> None:
    tenant.make_agents("writer")
    provider.add(moods.status(400), times=None)
    answer = post(tenant, {"model": "writer", "messages": [user("hello")]})
    assert (answer.status_code, answer.headers["x-should-retry"]) == (502, "false")
    assert answer.json()["error"]["code"] == "no_reply"
