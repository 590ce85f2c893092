"""Tests POST /v1/chat/completions on the whole local stack: answers, streams, conversations and plain calls."""

from typing import Any

import httpx
import pytest

from shared.domain.chat import shown_body
from tests.support.fake_provider import FakeProvider, moods
from tests.support.stack.chat_client import address, ask, assistant, make_council, post, said, stream, streamed, user
from tests.support.stack.tenant import Tenant


def test_agent_answers_as_a_model(tenant: Tenant) -> None:
    tenant.make_agents("writer")
    answer = ask(tenant, user("hello"))
    turn = tenant.http.get(f"turns/{answer['pantheon']['turn_id']}").json()
    assert (answer["id"], answer["object"], answer["model"]) == (f"chatcmpl-{turn['id']}", "chat.completion", "writer")
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


def test_usage_is_what_the_ledger_has(tenant: Tenant) -> None:
    tenant.make_agents("writer", "critic")
    make_council(tenant, "panel", "roundtable", "writer", "critic")
    answer = ask(tenant, user("hello"), model="panel")
    posted = tenant.row(
        """SELECT sum(input_tokens + cache_read_tokens + cache_write_tokens)::integer AS prompt_tokens,
        sum(output_tokens + reasoning_tokens)::integer AS completion_tokens, trim_scale(sum(amount_usd))::text AS usd
        FROM usage_ledger WHERE tenant_id = %s""",
        tenant.id,
    )
    usage = answer["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (
        posted["prompt_tokens"],
        posted["completion_tokens"],
    )
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert answer["pantheon"]["cost_usd"] == posted["usd"]


@pytest.mark.parametrize(
    ("mode", "fan_out"),
    [("manual", "sequential"), ("roundtable", "sequential"), ("manual", "parallel"), ("council", "parallel")],
)
def test_stream_has_the_text_of_the_turn_in_every_mode(tenant: Tenant, mode: str, fan_out: str) -> None:
    tenant.make_agents("writer", "critic")
    make_council(tenant, "panel", mode, "writer", "critic", fan_out=fan_out)
    chunks = stream(tenant, user("@writer @critic hello"), model="panel", stream_options={"include_usage": True})
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    turn = tenant.http.get(f"turns/{chunks[-2]['pantheon']['turn_id']}").json()
    assert streamed(chunks) == shown_body(turn)
    assert ("**Writer:** " in streamed(chunks, "reasoning_content")) == (mode == "council")
    assert (chunks[-1]["choices"], chunks[-1]["usage"]["total_tokens"]) == ([], sum(turn["usage"].values()))
    answer = ask(tenant, user("@writer @critic hello"), assistant(streamed(chunks)), user("on"), model="panel")
    assert answer["pantheon"]["session_id"] == turn["session_id"]


def test_text_comes_while_the_model_speaks(tenant: Tenant, provider: FakeProvider) -> None:
    tenant.make_agents("writer")
    provider.add(moods.hold())
    body = {"model": "writer", "messages": [user("hello")], "stream": True}
    with tenant.http.stream("POST", address(tenant, "chat/completions"), json=body) as answer:
        lines = answer.iter_lines()
        assert '"role": "assistant"' in next(lines)
        tenant.wait_for_requests(1)
        provider.release()
        assert list(lines)[-2] == "data: [DONE]"


def test_conversation_goes_on_by_its_history(tenant: Tenant) -> None:
    tenant.make_agents("writer")
    first = ask(tenant, user("one"))
    second = ask(tenant, user("one"), assistant(f"\n{said(first)} "), user("two"))
    assert second["pantheon"]["session_id"] == first["pantheon"]["session_id"]
    assert [(m["role"], m["content"]) for m in tenant.requests[1].messages[1:]] == [
        ("user", "one"),
        ("assistant", said(first)),
        ("user", "two"),
    ]
    session = tenant.http.get(f"sessions/{first['pantheon']['session_id']}").json()
    shown = ("title", "origin", "model", "imported", "visibility")
    assert [session[name] for name in shown] == ["one", "chat", "writer", False, "private"]


def test_history_of_elsewhere_is_imported_and_sent_once(tenant: Tenant) -> None:
    tenant.make_agents("writer")
    first = ask(tenant, {"role": "system", "content": "Rhyme."}, user("a"), assistant("b"), user("c"))
    second = ask(tenant, user("a"), assistant("b"), user("c"), assistant(said(first)), user("d"))
    assert second["pantheon"]["session_id"] == first["pantheon"]["session_id"]
    assert [m["content"] for m in tenant.requests[1].messages[1:]] == ["a", "b", "c", said(first), "d"]
    assert ["Rhyme." in request.messages[0]["content"] for request in tenant.requests] == [True, False]
    session = tenant.http.get(f"sessions/{first['pantheon']['session_id']}").json()
    assert session["imported"] is True
    listed = tenant.http.get(f"sessions/{session['id']}/turns?order=asc").json()["items"]
    assert [turn["message"] for turn in listed] == ["c", "d"]


@pytest.mark.parametrize(
    ("headers", "fields"),
    [
        ({"X-Conversation-Id": "chat"}, {}),
        ({"X-OpenWebUI-Chat-Id": "chat"}, {}),
        ({}, {"metadata": {"session_id": "chat"}}),
        ({}, {"conversation_id": "chat"}),
    ],
)
def test_conversation_goes_on_by_its_name(tenant: Tenant, headers: dict[str, str], fields: dict[str, Any]) -> None:
    tenant.make_agents("writer")
    first = ask(tenant, user("one"), headers=headers, **fields)
    second = ask(tenant, user("two"), headers=headers, **fields)
    assert second["pantheon"]["session_id"] == first["pantheon"]["session_id"]
    assert ask(tenant, user("three"))["pantheon"]["session_id"] != first["pantheon"]["session_id"]


def test_retry_of_an_sdk_gets_the_turn_that_was_paid(tenant: Tenant) -> None:
    tenant.make_agents("writer")
    body = {"model": "writer", "messages": [user("hello")]}
    first = post(tenant, body)
    again = post(tenant, {**body, "stream": False}, **{"x-stainless-retry-count": "1"})
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    keyed = [post(tenant, body, **{"Idempotency-Key": "key"}) for _ in range(2)]
    assert keyed[0].content == keyed[1].content != first.content
    assert len(tenant.requests) == 2


@pytest.mark.parametrize("streams", [False, True])
def test_alias_is_called_without_a_session(tenant: Tenant, streams: bool) -> None:
    messages = ({"role": "system", "content": "Be brief."}, user("sesame"))
    if streams:
        chunks = stream(tenant, *messages, model="alias/fast")
        assert streamed(chunks) == "You said: sesame"
        answer = {"id": chunks[0]["id"], "pantheon": chunks[-1]["pantheon"]}
    else:
        answer = ask(tenant, *messages, model="alias/fast")
        assert said(answer) == "You said: sesame"
    (call,) = tenant.rows("SELECT call_id, turn_id, session_id FROM llm_calls WHERE tenant_id = %s", tenant.id)
    assert answer["id"] == f"chatcmpl-{call['call_id']}"
    assert (answer["pantheon"]["turn_id"], answer["pantheon"]["session_id"]) == (None, None)
    assert [(m["role"], m["content"]) for m in tenant.requests[0].messages] == [
        ("system", "Be brief."),
        ("user", "sesame"),
    ]
    assert tenant.http.get("sessions").json()["items"] == []
    places = [f"sessions/{call['session_id']}", f"sessions/{call['session_id']}/turns", f"turns/{call['turn_id']}"]
    places += [f"turns/{call['turn_id']}/events", f"turns/{call['turn_id']}/audit"]
    assert {tenant.http.get(place).status_code for place in places} == {404}
    (used,) = tenant.http.get("usage/calls").json()["items"]
    assert (used["model_alias"], used["amount_usd"]) == ("fast", answer["pantheon"]["cost_usd"])


def test_task_of_open_webui_is_a_plain_call(tenant: Tenant) -> None:
    tenant.make_agents("writer")
    chat = {"X-OpenWebUI-Chat-Id": "chat"}
    first = ask(tenant, user("one"), headers=chat)
    task = user("### Task:\nGenerate a concise title.\n### Chat History:\nUSER: one")
    title = ask(tenant, task, headers=chat, max_tokens=1000)
    assert title["pantheon"]["turn_id"] is None
    assert [(m["role"], m["content"]) for m in tenant.requests[1].messages] == [("user", task["content"])]
    second = ask(tenant, user("one"), assistant(said(first)), user("two"), headers=chat)
    assert second["pantheon"]["session_id"] == first["pantheon"]["session_id"]
    assert len(tenant.http.get("sessions").json()["items"]) == 1


def test_temperature_that_a_model_does_not_take_is_left_out(tenant: Tenant) -> None:
    tenant.make_agents("writer")
    ask(tenant, user("hello"), temperature=0.75)
    assert "temperature" not in tenant.requests[0].parameters


def test_cut_answer_ends_by_its_length(tenant: Tenant, provider: FakeProvider) -> None:
    tenant.make_agents("writer")
    provider.add(moods.length("This was cut"))
    answer = ask(tenant, user("hello"))
    assert answer["choices"][0]["finish_reason"] == "length"


def test_models_are_listed_for_a_client(tenant: Tenant) -> None:
    tenant.make_agents("writer")
    listed = tenant.http.get(address(tenant, "models"))
    assert [model["id"] for model in listed.json()["data"]][:2] == ["writer", "alias/fast"]
    probed = tenant.http.head(address(tenant, "models"))
    assert (probed.status_code, probed.content) == (200, b"")


def test_page_of_another_origin_may_ask(tenant: Tenant) -> None:
    asked = "authorization, content-type, x-stainless-retry-count, x-conversation-id"
    preflight = {
        "Origin": "http://localhost:5173",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": asked,
    }
    allowed = httpx.options(address(tenant, "chat/completions"), headers=preflight)
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, "http://localhost:5173")
    answer = post(tenant, {"model": "nobody", "messages": [user("hello")]}, Origin="http://localhost:5173")
    exposed = answer.headers["access-control-expose-headers"]
    assert all(name in exposed for name in ("Location", "Link", "Retry-After", "X-Should-Retry"))
