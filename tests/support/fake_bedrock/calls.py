"""Makes requests of Bedrock that end within a time limit."""

from typing import Any, cast

from shared.catalog import build
from shared.llm.bedrock import BedrockProvider
from shared.llm.port import Completion, OnText, Request
from tests.support.fake_provider import calls
from tests.support.fake_provider.calls import STUCK_S


def request(alias: str = "fast", max_call_s: float = STUCK_S, **changes: Any) -> Request:
    models = build(calls.settings("bedrock", max_call_s=max_call_s))
    return calls.request(**({"model": models[alias]} | changes))


def complete(provider: BedrockProvider, asked: Request, on_text: OnText | None = None) -> Completion:
    return calls.complete(cast(Any, provider), asked, on_text)


def complete_live(provider: BedrockProvider, asked: Request | None = None) -> tuple[Completion, list[str]]:
    """The outcome, and the pieces of text that were told."""
    pieces: list[str] = []
    return complete(provider, asked or request(), pieces.append), pieces
