"""Tests each target with its corpus and mutants, and that each target can fail."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from functions.turns.chat_reading import Texts
from functions.turns.mcp_messages import Call
from local.gateway.event import InvalidResponse
from shared.domain.chat import Line
from shared.domain.turn import Fallback
from shared.llm import chat_completions
from shared.llm.port import Completion
from shared.orchestration.tags import Tags
from tests.fuzz import chats, gateway, logs, mcp, structured, tags
from tests.fuzz.target import corpus
from tests.fuzz.targets import TARGETS

_PATIENCE_S = 300.0


@pytest.fixture(scope="module")
def replayed() -> dict[str, Any]:
    """Run all targets in a process of their own, because handlers read the address of their database once."""
    command = [sys.executable, "-m", "tests.fuzz.replay", *TARGETS]
    root = Path(__file__).parents[2]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    return found


@pytest.mark.parametrize("name", TARGETS)
def test_target_raises_nothing_for_its_corpus_and_mutants(replayed: dict[str, Any], name: str) -> None:
    tried, raised = replayed[name]
    assert raised == []
    assert tried > len(corpus(name)) >= 3


def refusal(**changes: object) -> dict[str, Any]:
    problem = {"type": "urn:x", "title": "No", "status": 404, "code": "not_found", "detail": "", "request_id": "1"}
    body = json.dumps({**problem, **changes})
    return {"statusCode": 404, "headers": {"content-type": "application/problem+json"}, "body": body}


@pytest.mark.parametrize(
    "answer",
    [
        {"statusCode": 500, "headers": {"content-type": "application/problem+json"}, "body": refusal()["body"]},
        {"statusCode": 503, "headers": {}, "body": ""},
        {"statusCode": 404, "headers": {"content-type": "application/json"}, "body": refusal()["body"]},
        refusal(code=""),
        refusal(status=400),
        {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": "{"},
        {"statusCode": 200, "headers": {"bad header": "x"}, "body": ""},
        {"statusCode": "200", "headers": {}, "body": ""},
        {"statusCode": 200, "headers": {}, "body": {"a": 1}},
    ],
)
def test_target_raises_when_an_answer_breaks_the_contract(answer: dict[str, Any]) -> None:
    gateway.check(refusal())
    with pytest.raises((AssertionError, InvalidResponse, json.JSONDecodeError)):
        gateway.check(answer)


BROKEN: dict[str, tuple[Any, str, object]] = {
    "tags in code": (tags, "parse_tags", lambda *_: Tags(("ada",), ())),
    "tags twice": (tags, "parse_tags", lambda *_: Tags(("ada", "ada"), ())),
    "a fallback of another reason": (structured, "parse", lambda *_: (None, (Fallback("component", "bored", 3),))),
    "neither an answer nor a fallback": (structured, "parse", lambda *_: (None, ())),
    "an outcome that is neither": (
        chat_completions,
        "read_completion",
        lambda *_: Completion("unbilled", error="malformed_response"),
    ),
    "a history that is empty": (chats, "read_texts", lambda _: Texts((Line("user", " "),), "a", "", None, ())),
    "a call without a method": (mcp, "read_call", lambda _: Call(1, None, {})),  # type: ignore[arg-type]
    "more records than lines": (logs, "read_plain_log", lambda *_: iter([None] * 99)),
}
_PURE = {tags: "tags", structured: "structured", chat_completions: "wire", logs: "logs", chats: "chats", mcp: "mcp"}


@pytest.mark.parametrize("name", BROKEN)
def test_target_raises_when_a_parser_returns_a_forbidden_value(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    module, attribute, broken = BROKEN[name]
    target = _PURE[module]
    assert not any(_refuses(target, data) for data in corpus(target))
    monkeypatch.setattr(module, attribute, broken)
    assert any(_refuses(target, data) for data in corpus(target))


def _refuses(target: str, data: bytes) -> bool:
    try:
        TARGETS[target].attempt(data)
    except AssertionError:
        return True
    return False
