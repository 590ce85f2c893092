"""Tests that an impossible count of tokens is refused, in each provider's format."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from shared.domain.money import TOKEN_CLASSES
from shared.llm import chat_completions, converse
from shared.llm.chat_stream import ChatStream
from shared.llm.converse_stream import ConverseStream
from shared.llm.outcomes import Dialect, outcome
from shared.llm.port import Completion, Message, Request
from shared.llm.tokens import most_input_tokens
from shared.llm.wire import Answer
from tests.support.fake_provider.calls import model, request

_CHAT = Dialect("x-request-id", chat_completions.read_completion, ChatStream)
_CONVERSE = Dialect("x-request-id", converse.read_response, ConverseStream)
_SHORT = replace(request(), model=replace(model(), context_window=1000), max_output_tokens=100)
# A token a byte, and by far more of them than our own window: what is real is not refused.
_DENSE = replace(_SHORT, messages=(Message("user", "\U0001f9e9" * 1000),))


def _chat(class_: str, count: int) -> dict[str, Any]:
    usage: dict[str, Any] = {"prompt_tokens": 7, "completion_tokens": 3}
    match class_:
        case "cache_read_tokens":
            return usage | {"prompt_tokens": count, "prompt_tokens_details": {"cached_tokens": count}}
        case "cache_write_tokens":
            return usage | {"prompt_tokens": count, "prompt_tokens_details": {"cache_write_tokens": count}}
        case "reasoning_tokens":
            return usage | {"completion_tokens": count, "completion_tokens_details": {"reasoning_tokens": count}}
    return usage | {"prompt_tokens" if class_ == "input_tokens" else "completion_tokens": count}


def _converse(class_: str, count: int) -> dict[str, Any]:
    names = {
        "input_tokens": "inputTokens",
        "output_tokens": "outputTokens",
        "cache_read_tokens": "cacheReadInputTokens",
        "cache_write_tokens": "cacheWriteInputTokens",
    }
    return {"inputTokens": 7, "outputTokens": 3} | {names[class_]: count}


def _told(dialect: Dialect, asked: Request, usage: Mapping[str, Any]) -> Completion:
    document = {"choices": [{"message": {"content": "So."}}], "output": {"message": {"content": [{"text": "So."}]}}}
    body = json.dumps({"usage": usage, **document}).encode()
    return outcome(Answer(200, {"x-request-id": "req-1"}, body), dialect, asked)


_WAYS = [
    *((_CHAT, _chat, name) for name in TOKEN_CLASSES),
    # Where thinking is among the output.
    *((_CONVERSE, _converse, name) for name in TOKEN_CLASSES if name != "reasoning_tokens"),
]


@pytest.mark.parametrize(("dialect", "usage", "class_"), _WAYS)
@pytest.mark.parametrize(
    ("asked", "most"), [(_SHORT, 1100), (_DENSE, most_input_tokens(_DENSE.messages) + 100)], ids=["short", "dense"]
)
def test_count_of_a_class_is_at_most_the_window_and_the_sent_or_requested_tokens(
    dialect: Dialect, usage: Any, class_: str, asked: Request, most: int
) -> None:
    real = _told(dialect, asked, usage(class_, most))
    assert (real.status, real.text, getattr(real.usage, class_)) == ("succeeded", "So.", most)
    for count in (most + 1, 2**63 - 1):
        damaged = _told(dialect, asked, usage(class_, count))
        assert damaged == Completion("unknown", provider_request_id="req-1", error="malformed_response")


def test_bound_of_input_tokens_includes_the_response_schema() -> None:
    asked = replace(_SHORT, response_schema={"description": "x" * 5000})
    assert _told(_CHAT, asked, _chat("input_tokens", 5000)).status == "succeeded"
