"""Tests every mode over HTTP with a server of Bedrock's protocol, and the metrics and logs of turns with bad answers.

The helpers have the alias `strict`, the only one whose answers can follow a schema.
"""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.rows import dict_row

from local.stack import Stack
from shared.names import METRICS_NAMESPACE, Dimension, Metric
from tests.support.council_room import broken_invariants
from tests.support.fake_bedrock import FakeBedrock
from tests.support.fake_bedrock.environment import ENVIRONMENT
from tests.support.fake_bedrock.moods import exception
from tests.support.fake_provider import Row, moods
from tests.support.model_answers import EXTRACTED, EXTRACTION, HELPERS, SENTINEL
from tests.support.stack.tenant import Tenant, environ, open_client, unjournaled_requests

STRICT = "global.anthropic.claude-haiku-4-5-20251001-v1:0"
FAST = "global.anthropic.claude-haiku-5-5"
DEEP = "global.anthropic.claude-sonnet-5-5"
KEYS = ["writer", "researcher", "critic"]
DECISION = json.dumps({"selected_agent_keys": ["critic", "nobody", "writer"], "reason": "They know."})
SETTINGS = {"llm_provider": "bedrock", "routing_alias": "strict", "summary_alias": "strict", "summary_after_turns": 2}
# The session's mode and fan-out, the posted message, and the agents in the order of their answers.
MODES: dict[str, tuple[str, str, dict[str, Any], list[str]]] = {
    "manual": ("manual", "sequential", {"message": "Go.", "agent_keys": ["critic", "writer"]}, ["critic", "writer"]),
    "tag": ("tag", "sequential", {"message": "@researcher @writer go"}, ["researcher", "writer"]),
    "parallel": ("tag", "parallel", {"message": "@critic @writer @researcher go"}, ["critic", "writer", "researcher"]),
    "roundtable": ("roundtable", "sequential", {"message": "Go."}, KEYS),
    "orchestrator": ("orchestrator", "sequential", {"message": "Go."}, ["critic", "writer"]),
}


@pytest.fixture(scope="module")
def bedrock() -> Iterator[FakeBedrock]:
    with FakeBedrock() as server:
        yield server


@pytest.fixture(scope="module")
def bedrock_stack(bedrock: FakeBedrock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    aws = {**ENVIRONMENT, "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": bedrock.endpoint}
    with Stack.start(environ(tmp_path_factory.mktemp("bedrock"), **SETTINGS) | aws) as stack:
        yield stack


@pytest.fixture
def council(bedrock_stack: Stack, bedrock: FakeBedrock) -> Iterator[Tenant]:
    """A tenant with three agents; `researcher` is the deep one."""
    bedrock.clear()
    tenant_id = f"tenant-{uuid4()}"
    with (
        open_client(bedrock_stack.url, bedrock_stack.token(tenant=tenant_id)) as http,
        psycopg.connect(bedrock_stack.owner_url, autocommit=True, row_factory=dict_row) as owner,
    ):
        council = Tenant(tenant_id, http, owner, bedrock, len(bedrock.rows))
        council.make_agents("writer", "critic")
        council.make_agents("researcher", model_alias="deep")
        yield council
        assert unjournaled_requests(council) == set()
        assert broken_invariants(owner) == {}


def sent_for(requests: list[Row], helper: str | None) -> list[Row]:
    """The requests of one helper; None for those of agents."""
    return [request for request in requests if helper_of(request) == helper]


def helper_of(request: Row) -> str | None:
    system = request.parameters["system"][0]["text"]
    return next((name for name, beginning in HELPERS.items() if system.startswith(beginning)), None)


def schema(request: Row) -> dict[str, Any]:
    """The schema of the answer."""
    text_format = request.parameters["outputConfig"]["textFormat"]
    assert text_format["type"] == "json_schema"
    found: dict[str, Any] = json.loads(text_format["structure"]["jsonSchema"]["schema"])
    assert found["additionalProperties"] is False
    assert found["required"] == list(found["properties"])
    return found["properties"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", MODES)
def test_a_turn_in_each_mode_with_a_summary_at_its_end(council: Tenant, bedrock: FakeBedrock, name: str) -> None:
    mode, fan_out, posted, keys = MODES[name]
    session = {"title": "Talk", "mode": mode, "agent_keys": KEYS, "fan_out": fan_out}
    session_id = council.http.post("sessions", json=session).json()["id"]
    council.take(session_id, "@writer hello", mode="tag")
    bedrock.add(moods.ok(DECISION), when=HELPERS["routing"])
    bedrock.add(moods.ok("They say hello."), when=HELPERS["summary_text"])
    bedrock.add(moods.ok(EXTRACTION), when=HELPERS["summary_structure"])
    turn = council.take(session_id, **posted)
    assert (turn["status"], turn["fallbacks"], turn["summary_triggered"]) == ("completed", [], True)
    assert [(reply["agent_key"], reply["status"]) for reply in turn["replies"]] == [(key, "completed") for key in keys]
    assert council.http.get(f"turns/{turn['id']}").json() == turn
    requests = [row for row in council.requests if row.parameters["requestMetadata"]["turn_id"] == turn["id"]]
    calls = {str(call["call_id"]): call for call in council.calls(turn["id"])}
    assert sorted(row.parameters["requestMetadata"]["call_id"] for row in requests) == sorted(calls)
    for row in requests:
        call = calls[row.parameters["requestMetadata"]["call_id"]]
        assert (call["status"], call["provider"], call["model_id"]) == ("succeeded", "bedrock", row.model)
        assert row.parameters["requestMetadata"]["stage"] == "local"
        assert (call["purpose"] == "agent") == (helper_of(row) is None)
    check_agents(sent_for(requests, None), keys, fan_out)
    check_helpers(requests, routed=mode == "orchestrator")
    (summary,) = council.http.get(f"sessions/{session_id}/summaries").json()["items"]
    assert (summary["text"], summary["key_facts"]) == ("They say hello.", EXTRACTED["key_facts"])


def check_agents(requests: list[Row], keys: list[str], fan_out: str) -> None:
    """Each agent is asked at its alias's model, without a schema; one after the other, it hears those before it."""
    by_key = {
        key: next(r for r in requests if f"You are {key.title()}," in r.parameters["system"][0]["text"]) for key in keys
    }
    assert len(requests) == len(by_key)
    for position, (key, request) in enumerate(by_key.items()):
        assert request.model == (DEEP if key == "researcher" else FAST)
        assert "outputConfig" not in request.parameters
        # Behind the newest message; before it stands a reply of the turn before.
        _, _, heard = request.messages[-1]["content"][0]["text"].rpartition("<quoted user>")  # type: ignore[index]
        assert [other.title() for other in keys if f'<quoted agent="{other.title()}">' in heard] == [
            other.title() for other in keys[:position] if fan_out == "sequential"
        ]


def check_helpers(requests: list[Row], *, routed: bool) -> None:
    routing = sent_for(requests, "routing")
    assert len(routing) == routed
    for request in routing:
        assert request.model == STRICT
        assert schema(request)["selected_agent_keys"]["items"] == {"type": "string", "enum": KEYS}
        assert request.parameters["inferenceConfig"]["maxTokens"] == 256
    (text,), (structure,) = sent_for(requests, "summary_text"), sent_for(requests, "summary_structure")
    assert (text.model, structure.model) == (STRICT, STRICT)
    assert "outputConfig" not in text.parameters
    assert list(schema(structure)) == ["add", "replace", "close"]
    assert structure.parameters["inferenceConfig"]["maxTokens"] == 512


def test_fallback_is_in_the_response_audit_and_metrics_without_text_in_a_log(
    council: Tenant, bedrock: FakeBedrock, bedrock_stack: Stack
) -> None:
    """Words of the wrong shape from manager and summariser, a text that is cut off, an alias that is throttled."""
    session_id = council.make_session(*KEYS, mode="orchestrator")
    council.take(session_id, "@writer hello", mode="tag")
    before = {path.name: len(path.read_text()) for path in bedrock_stack.log_dir.iterdir()}
    bedrock.add(moods.ok(json.dumps({"selected_agent_keys": 7, SENTINEL: SENTINEL})), when=HELPERS["routing"])
    bedrock.add(exception("ThrottlingException", 429), when="You are Researcher,", times=2)
    bedrock.add(moods.ok(SENTINEL, finish_reason="length"), when=HELPERS["summary_text"])
    wrong = json.dumps({"add": [SENTINEL], SENTINEL: {SENTINEL: [SENTINEL]}})
    bedrock.add(moods.ok(wrong), when=HELPERS["summary_structure"])
    turn = council.take(session_id, "@researcher?")
    expected = [
        {"component": "routing", "reason": "invalid_schema", "step": 0},
        {"component": "model_alias", "reason": "throttled", "step": 1},
        {"component": "summary_text", "reason": "max_tokens", "step": 2},
        {"component": "summary_structure", "reason": "invalid_field:add", "step": 3},
    ]
    assert (turn["status"], turn["fallbacks"], turn["replies"][0]["model_alias"]) == ("completed", expected, "fast")
    (audit,) = council.http.get(f"turns/{turn['id']}/audit").json()["items"]
    assert audit["detail"]["fallbacks"] == expected
    logs = {path.name: path.read_text()[before[path.name] :] for path in bedrock_stack.log_dir.iterdir()}
    lines = [json.loads(text) for text in logs["turns.log"].splitlines()]
    assert used(lines) == {fallback["component"]: 1 for fallback in expected}
    shapes = [line for line in lines if line.get("message") == "answer of the wrong shape"]
    assert [(line["component"], line["faults"]) for line in shapes] == [
        ("routing", [["list_type", "selected_agent_keys"]]),
    ]
    assert {name for name, text in logs.items() if SENTINEL in text} == set()


def used(lines: list[dict[str, Any]]) -> dict[str, float]:
    """FallbackUsed by component, as CloudWatch reads EMF."""
    found: dict[str, float] = {}
    for line in lines:
        for directive in line.get("_aws", {}).get("CloudWatchMetrics", ()):
            assert directive["Namespace"] == METRICS_NAMESPACE
            names = [set(names) for names in directive["Dimensions"]]
            if Metric.FALLBACK_USED in [metric["Name"] for metric in directive["Metrics"]] and names != [{"service"}]:
                assert names == [{"service", Dimension.COMPONENT}]
                component = line[Dimension.COMPONENT]
                found[component] = found.get(component, 0) + sum(line[Metric.FALLBACK_USED])
    return found
