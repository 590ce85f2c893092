"""Tests the port's contract on every provider: those with a server, and those that stand in for a model."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from bench.provider import BenchProvider
from shared.catalog import build
from shared.llm.port import Completion, Message, Provider, Request, storable
from shared.llm.scripted import ScriptedProvider
from shared.llm.tokens import is_credible
from tests.support.fake_provider import calls
from tests.support.model_answers import Helpers

pytest_plugins = ["tests.support.fake_provider.fixtures", "tests.support.fake_bedrock.fixtures"]

OURS = ("end_turn", "max_tokens", "content_filtered")
SCHEMA = {"type": "object", "properties": {"reason": {"type": "string"}}, "required": ["reason"]}
# The fixture of the providers that need a server.
SERVED = {"openai_compatible": "local", "bedrock": "bedrock"}
MADE: dict[str, Callable[[], Provider]] = {
    "scripted": ScriptedProvider,
    "helpers": Helpers,
    "bench": lambda: BenchProvider(["writer"]),
}
REQUESTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "with a temperature": {"temperature": 0.5},
    "with a schema": {"response_schema": SCHEMA},
    "without a system prompt": {"messages": (Message("user", "hello"),)},
    "after other turns": {"messages": (*calls.PROMPT, Message("assistant", "Hi."), Message("user", "And now?"))},
    "with text that cannot be stored": {"messages": (Message("user", "a \x00 and \ud83d"),)},
}


@pytest.fixture(params=[*MADE, *SERVED])
def asked(request: pytest.FixtureRequest) -> tuple[Provider, Request]:
    """A provider, and a request of one of its models."""
    name = request.param
    provider: Provider = MADE[name]() if name in MADE else request.getfixturevalue(name)
    models = build(calls.settings(SERVED.get(name, "scripted"), max_call_s=calls.STUCK_S))  # type: ignore[arg-type]
    return provider, calls.request(model=models["fast"])


@pytest.mark.parametrize("changes", REQUESTS.values(), ids=REQUESTS)
def test_an_answer_has_text_that_can_be_stored_and_a_credible_count(
    asked: tuple[Provider, Request], changes: dict[str, Any]
) -> None:
    provider, request = asked
    request = replace(request, **changes)
    completion = provider.complete(request)
    assert (completion.status, completion.error) == ("succeeded", None)
    assert completion.text.strip()
    assert completion.text == storable(completion.text)
    assert completion.stop_reason in OURS
    assert completion.usage.prompt_tokens > 0
    assert completion.usage.output_tokens > 0
    assert is_credible(completion.usage, request)
    assert completion.retry_after_s is None


@pytest.mark.parametrize("changes", REQUESTS.values(), ids=REQUESTS)
def test_the_text_is_told_in_pieces_and_the_outcome_is_the_same(
    asked: tuple[Provider, Request], changes: dict[str, Any]
) -> None:
    provider, request = asked
    request = replace(request, **changes)
    pieces: list[str] = []
    live = provider.complete(request, pieces.append)
    whole = provider.complete(request)
    assert pieces
    assert all(piece and piece == storable(piece) for piece in pieces)
    assert "".join(pieces) == live.text
    ids = {"provider_request_id": None}
    assert replace(live, **ids) == replace(whole, **ids)  # type: ignore[arg-type]


def test_the_same_prompt_gets_the_same_answer_from_any_thread(asked: tuple[Provider, Request]) -> None:
    """A turn asks its agents in parallel, from several threads."""
    provider, request = asked

    def complete(number: int) -> Completion:
        return provider.complete(replace(request, call_id=f"call-{number}"))

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(complete, range(12)))
    assert {(answer.status, answer.text, answer.usage) for answer in answers} == {
        (answers[0].status, answers[0].text, answers[0].usage)
    }
