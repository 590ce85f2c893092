"""The modes that go beyond tags, over HTTP: routing, parallel fan-out, and the memory of a long session."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from tests.e2e.tenant import Tenant
from tests.fake_provider import FakeProvider, moods
from tests.quoted import quoted, speakers

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
        ([moods.ok('{"selected_agent_keys": "critic"}')], "invalid_schema"),
        ([moods.ok(chosen("critic")[:20], finish_reason="length")], "max_tokens"),
        ([moods.status(500), moods.status(500)], "provider_error"),
        ([moods.status(400)], "refused"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_manager_that_talks_nonsense_is_done_without(
    tenant: Tenant, session_id: str, provider: FakeProvider, answers: Sequence[moods.Mood], reason: str
) -> None:
    for mood in answers:
        provider.add(mood, when=MANAGER)
    turn = tenant.take(session_id, "@researcher, is it good?", mode="orchestrator")
    assert turn["status"] == "completed"
    assert (keys_of(turn), turn["plan"]["source"]) == (["researcher"], "fallback")
    assert turn["fallbacks"] == [{"component": "routing", "reason": reason, "step": 0}]


def test_of_three_that_are_routed_one_fails_and_the_third_hears_the_first_alone(
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
    provider.add(moods.ok("They count to twelve."), when="You keep the memory")
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
