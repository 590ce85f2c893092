"""Tests the other modes over HTTP: routing, parallel fan-out, and the memory of a long session."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from local.stack import Stack
from tests.support.fake_provider import FakeProvider, moods
from tests.support.quoted import quoted, speakers
from tests.support.stack.tenant import Tenant, open_client

MANAGER = "You route messages"
EXTRACTED = {"add": {"key_facts": ["It is May"]}, "replace": [], "close": []}


def chosen(*keys: str) -> str:
    return json.dumps({"selected_agent_keys": keys, "reason": "They know."})


def keys_of(turn: dict[str, Any]) -> list[str]:
    return [reply["agent_key"] for reply in turn["replies"]]


def test_the_manager_routes_and_the_platform_pays_for_it(
    tenant: Tenant, session_id: str, provider: FakeProvider
) -> None:
    provider.add(moods.ok(chosen("critic", "nobody", "writer", "critic")), when=MANAGER)
    turn = tenant.take(session_id, "Is it good?", mode="orchestrator")
    assert (keys_of(turn), turn["plan"]["source"], turn["fallbacks"]) == (["critic", "writer"], "routing", [])
    accounts = [(call["purpose"], call["account"]) for call in tenant.calls(turn["id"])]
    assert accounts == [("routing", "platform"), ("agent", "tenant"), ("agent", "tenant")]
    assert float(turn["platform_cost_usd"]) > 0


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([moods.ok("I think the critic.")], "invalid_json"),
        ([moods.ok(chosen("admin", "root"))], "no_known_agent"),
        ([moods.ok('{"selected_agent_keys": 7}')], "invalid_schema"),
        ([moods.ok("<think>The critic?")], "thinking_only"),
        ([moods.ok(chosen("critic")[:20], finish_reason="length")], "max_tokens"),
        ([moods.status(500), moods.status(500)], "provider_error"),
        ([moods.status(400)], "refused"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_turn_falls_back_when_the_manager_answers_nonsense(
    tenant: Tenant, session_id: str, provider: FakeProvider, answers: Sequence[moods.Mood], reason: str
) -> None:
    for mood in answers:
        provider.add(mood, when=MANAGER)
    turn = tenant.take(session_id, "@researcher, is it good?", mode="orchestrator")
    assert turn["status"] == "completed"
    assert (keys_of(turn), turn["plan"]["source"]) == (["researcher"], "fallback")
    assert turn["fallbacks"] == [{"component": "routing", "reason": reason, "step": 0}]


def test_manager_routes_when_it_thinks_aloud_and_names_agents(
    tenant: Tenant, session_id: str, provider: FakeProvider
) -> None:
    provider.add(
        moods.ok('<think>{writer, critic}?</think>{"selected_agent_keys":["Critic", "@Writer "]}'), when=MANAGER
    )
    turn = tenant.take(session_id, "Is it good?", mode="orchestrator")
    assert (keys_of(turn), turn["plan"]["source"], turn["fallbacks"]) == (["critic", "writer"], "routing", [])


def test_thinking_is_shown_to_admins_and_put_into_no_prompt(
    stack: Stack, tenant: Tenant, session_id: str, provider: FakeProvider
) -> None:
    provider.add(moods.ok("<think>SECRET ...</think>Use tests."), when="You are Writer,")
    turn = tenant.take(session_id, "@writer @critic How?")
    assert turn["replies"][0]["text"] == "Use tests."
    (known,) = tenant.http.get(f"turns/{turn['id']}/audit").json()["items"]
    assert [attempt["thinking"] for attempt in known["detail"]["attempts"]] == ["SECRET ...", None]
    with open_client(stack.url, stack.token(tenant=tenant.id, roles=("member",))) as member:
        (audit,) = member.get(f"turns/{turn['id']}/audit").json()["items"]
    assert [attempt["thinking"] for attempt in audit["detail"]["attempts"]] == [None, None]
    followed = tenant.take(session_id, "@critic And now?")
    heard = [message["content"] for request in tenant.requests for message in request.messages]
    calls = tenant.calls(turn["id"])
    assert [call.pop("thinking") for call in calls] == ["SECRET ...", None]
    stored = tenant.rows("SELECT text FROM replies WHERE turn_id = %s", turn["id"]) + calls
    assert "SECRET" not in f"{turn} {audit} {followed} {heard} {stored}"


def test_reply_of_thinking_alone_fails_at_the_platforms_cost(tenant: Tenant, provider: FakeProvider) -> None:
    provider.add(moods.length("<think>The user wants"), when="You are Deep,")
    tenant.make_agents("deep")
    turn = tenant.take(tenant.make_session("deep"), "@deep How?")
    assert (turn["status"], turn["replies"][0]["error"]["code"]) == ("failed", "thinking_only")
    assert [(call["account"], call["error_code"]) for call in tenant.calls(turn["id"])] == [
        ("platform", "thinking_only")
    ]


def test_reply_that_begins_with_its_agents_name_has_the_name_once(
    tenant: Tenant, session_id: str, provider: FakeProvider
) -> None:
    provider.add(moods.ok("Writer: Use tests."), when="You are Writer,")
    provider.add(moods.ok("Writer: is right."), when="You are Critic,")
    turn = tenant.take(session_id, "@writer @critic How?")
    assert turn["output"] == "Writer: Use tests.\n\nCritic: Writer: is right."
    assert [reply["text"] for reply in turn["replies"]] == ["Use tests.", "Writer: is right."]
    assert quoted("Writer", "Use tests.") in tenant.requests[-1].messages[-1]["content"]


def test_third_routed_agent_hears_only_the_first_when_the_second_fails(
    tenant: Tenant, session_id: str, provider: FakeProvider
) -> None:
    provider.add(moods.ok(chosen("writer", "researcher", "critic")), when=MANAGER)
    provider.add(moods.status(400), when="You are Researcher,")
    turn = tenant.take(session_id, "Go.", mode="orchestrator")
    assert [reply["status"] for reply in turn["replies"]] == ["completed", "failed", "completed"]
    heard = tenant.requests[-1].messages[-1]["content"]
    assert quoted("Writer", "You said: Go.") in heard
    assert "Researcher" not in heard
    (audit,) = tenant.http.get(f"turns/{turn['id']}/audit").json()["items"]
    assert [attempt["status"] for attempt in audit["detail"]["attempts"]] == [
        "succeeded",
        "succeeded",
        "unbilled",
        "succeeded",
    ]


def test_parallel_agents_do_not_hear_each_other(tenant: Tenant, session_id: str) -> None:
    assert tenant.http.patch(f"sessions/{session_id}", json={"fan_out": "parallel"}).json()["fan_out"] == "parallel"
    turn = tenant.take(session_id, "@critic @writer @researcher hello")
    assert keys_of(turn) == ["critic", "writer", "researcher"]
    assert {request.messages[-1]["content"] for request in tenant.requests} == {"@critic @writer @researcher hello"}


def test_a_long_session_is_summarised_and_remembered(tenant: Tenant, session_id: str, provider: FakeProvider) -> None:
    provider.add(moods.ok("<think>The user wants ...</think>They count to twelve."), when="You keep the memory")
    provider.add(moods.ok(json.dumps(EXTRACTED)), when="You extract")
    turns = [tenant.take(session_id, f"@writer {number}") for number in range(1, 13)]
    assert [turn["summary_triggered"] for turn in turns] == [False] * 11 + [True]
    (summary,) = tenant.http.get(f"sessions/{session_id}/summaries").json()["items"]
    assert (summary["text"], summary["key_facts"]) == ("They count to twelve.", ["It is May"])
    assert (summary["through_turn_index"], summary["fallbacks"]) == (12, [])
    assert summary["items"] == [{"id": "F1", "list": "key_facts", "text": "It is May", "turn_index": 12}]
    assert tenant.http.get(f"sessions/{session_id}/archive").json() == {"items": [], "next_cursor": None}
    tenant.take(session_id, "@writer go on")
    _, heard = tenant.requests[-1].messages
    assert speakers(heard["content"]) == [
        ("summary", "They count to twelve."),
        ("key_facts", "It is May"),
        ("user", "@writer go on"),
    ]
