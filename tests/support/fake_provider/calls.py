"""Makes requests of the fake provider that end within a time limit."""

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from shared.catalog import Model, build
from shared.llm.openai_compatible import OpenAICompatibleProvider
from shared.llm.port import Completion, Message, OnText, Request
from shared.settings import LlmProvider, Settings

API_KEY = "sk-not-for-the-log"
PROMPT = (Message("system", "You are the Writer."), Message("user", "hello there"))
# The time that a call gets in these tests, and the time after which one counts as stuck.
LIMIT_S = 1.0
STUCK_S = 10.0


def settings(provider: LlmProvider = "local", **values: Any) -> Settings:
    unset = {"llm_base_url": None, "llm_api_key": None, "max_call_s": None}
    return Settings.model_construct(**{"llm_provider": provider, **unset, **values})


def model(provider: LlmProvider = "local", max_call_s: float = STUCK_S) -> Model:
    return build(settings(provider, max_call_s=max_call_s))["fast"]


def request(max_call_s: float = STUCK_S, call_id: str = "call-1", **changes: Any) -> Request:
    return replace(Request(call_id, "turn-1", model(max_call_s=max_call_s), PROMPT, 256), **changes)


def complete(provider: OpenAICompatibleProvider, asked: Request, on_text: OnText | None = None) -> Completion:
    """The outcome of a call that may never end if the code under test is wrong."""
    outcomes: list[Completion] = []
    call = threading.Thread(target=lambda: outcomes.append(provider.complete(asked, on_text)), daemon=True)
    call.start()
    call.join(STUCK_S)
    assert outcomes, "complete() neither returned nor timed out"
    return outcomes[0]


def complete_live(provider: OpenAICompatibleProvider, asked: Request | None = None) -> tuple[Completion, list[str]]:
    """The outcome, and the pieces of text that were told."""
    pieces: list[str] = []
    return complete(provider, asked or request(), pieces.append), pieces


def complete_elsewhere(url: str, max_call_s: float = STUCK_S) -> Completion:
    with contextlib.closing(OpenAICompatibleProvider(url)) as provider:
        return complete(provider, request(max_call_s))


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + STUCK_S
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.01)
