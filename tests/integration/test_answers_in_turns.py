"""Tests real providers' answers in whole turns over HTTP: the rows of the journal, the reply, and the payer."""

import contextlib
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from shared.llm.openai_compatible import OpenAICompatibleProvider
from tests.integration.test_provider_answers import HALF, counted, error
from tests.integration.test_provider_answers import body as completion_body
from tests.support.council_room import CouncilRoom, body
from tests.support.fake_provider import FakeProvider, Mood, moods

pytest_plugins = ["tests.support.fake_provider.fixtures"]

FINE = moods.ok("fine", usage=counted(9, 4))
# A call in the journal: alias, status, verdict, error.
Row = tuple[str, str, str | None, str | None]
FAST, DEEP = ("fast", "succeeded", "reply", None), ("deep", "succeeded", "reply", None)
CASES: dict[str, tuple[str, list[Mood], list[Row]]] = {
    "a parameter": (
        "writer",
        [error("Unsupported parameter: 'temperature'"), FINE],
        [("fast", "unbilled", None, "invalid_parameter"), FAST],
    ),
    "two parameters, and a failure between them": (
        "researcher",
        [error("Unknown parameter: 'max_tokens'"), moods.status(500), error("Bad temperature"), FINE],
        [
            ("deep", "unbilled", None, "invalid_parameter"),
            ("deep", "unknown", None, "provider_error"),
            ("deep", "unbilled", None, "invalid_parameter"),
            DEEP,
        ],
    ),
    "a parameter of the fallback": (
        "researcher",
        [error("No.", 404), error("Unsupported parameter: 'temperature'"), FINE],
        [("deep", "unbilled", None, "model_unavailable"), ("fast", "unbilled", None, "invalid_parameter"), FAST],
    ),
    "a parameter that no request can leave out": (
        "writer",
        [error("Invalid value.", param="messages[0].content")],
        [("fast", "unbilled", "failed", "invalid_parameter")],
    ),
    "half an answer": (
        "writer",
        [Mood(body=completion_body(choices=[HALF])), FINE],
        [("fast", "succeeded", None, "provider_error"), FAST],
    ),
    "an error in a 200": (
        "writer",
        [moods.raw({"error": {"message": "Rate limit reached", "code": 429}}), FINE],
        [("fast", "unbilled", None, "throttled"), FAST],
    ),
    "a model that is gone": (
        "researcher",
        [error("The model does not exist", 404, code="model_not_found"), FINE],
        [("deep", "unbilled", None, "model_unavailable"), FAST],
    ),
    "a model that is gone, without a fallback": (
        "writer",
        [error("The model does not exist", 404, code="model_not_found")],
        [("fast", "unbilled", "failed", "model_unavailable")],
    ),
    "a key that is refused": (
        "researcher",
        [error("No.", 401), FINE],
        [("deep", "unbilled", None, "provider_unauthorized"), FAST],
    ),
    "a quota that is used up": (
        "writer",
        [error("No.", 402)],
        [("fast", "unbilled", "failed", "provider_quota")],
    ),
    "thinking that used up the cap": (
        "writer",
        [moods.ok("", usage=counted(20, 100, 120, 100), finish_reason="length")],
        [("fast", "succeeded", "failed", "thinking_only")],
    ),
    "a prompt that is too long": (
        "writer",
        [error("Input length 131393 exceeds the maximum allowed input length of 131040 tokens."), FINE],
        [("fast", "unbilled", None, "context_overflow"), FAST],
    ),
    "a long pause": (
        "researcher",
        [moods.status(429, retry_after=31), FINE],
        [("deep", "unbilled", None, "throttled"), FAST],
    ),
    "a long pause, without a fallback": (
        "writer",
        [moods.status(429, retry_after=31)],
        [("fast", "unbilled", "failed", "throttled")],
    ),
}


@pytest.fixture
def over_http(room: CouncilRoom, fake_provider: FakeProvider) -> Iterator[Any]:
    """Take a turn whose agents ask the fake provider."""
    for key in ("writer", "researcher"):
        room.change_agent(key, temperature=0.5)
    with contextlib.closing(OpenAICompatibleProvider(fake_provider.url)) as provider:
        yield lambda message: body(room.take(message, runner=room.runner(provider=provider)))


@pytest.mark.parametrize("case", CASES)
def test_answer_is_a_row_with_its_reason(
    room: CouncilRoom, fake_provider: FakeProvider, over_http: Any, case: str
) -> None:
    agent, script, rows = CASES[case]
    for mood in script:
        fake_provider.add(mood)
    turn = over_http(f"@{agent} hello")
    assert room.calls("model_alias, status, verdict, error_code") == rows
    assert len(fake_provider.rows) == len(script)
    reply, failure = turn["replies"][0], rows[-1][3]
    assert (reply["status"], reply["text"]) == (("failed", None) if failure else ("completed", "fine"))
    assert (reply["error"] and reply["error"]["code"]) == failure
    suspended = sum((held for status, held in room.calls("status, reserve_usd") if status == "unknown"), Decimal(0))
    assert room.accounts().get("suspense", 0) == suspended


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "1.2"},
        {"Retry-After-Ms": "1200"},
        {"Retry-After": "Wed, 21 Oct 2026 07:28:02 GMT", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"},
        # The lease covers a shorter time after an intent.
        {"Retry-After": "2.3"},
    ],
)
def test_call_is_not_retried_before_the_time_that_the_provider_named(
    room: CouncilRoom, fake_provider: FakeProvider, over_http: Any, headers: dict[str, str]
) -> None:
    arrived: list[float] = []
    fake_provider.answer_with(lambda _: arrived.append(time.monotonic()))
    fake_provider.add(moods.status(429, headers=headers))
    turn = over_http("@writer hello")
    assert turn["replies"][0]["status"] == "completed"
    first, second = arrived
    assert second - first >= (2.3 if headers.get("Retry-After") == "2.3" else 1.2)
    assert room.calls("status") == [("unbilled",), ("succeeded",)]
