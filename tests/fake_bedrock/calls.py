"""Requests to make of Bedrock, and a way to make them that ends whatever happens."""

from typing import Any, cast

from shared.catalog import build
from shared.llm.bedrock import BedrockProvider
from shared.llm.port import Completion, Request
from tests.fake_provider import calls
from tests.fake_provider.calls import STUCK_S


def request(alias: str = "fast", max_call_s: float = STUCK_S, **changes: Any) -> Request:
    models = build(calls.settings("bedrock", max_call_s=max_call_s))
    return calls.request(**({"model": models[alias]} | changes))


def complete(provider: BedrockProvider, asked: Request) -> Completion:
    return calls.complete(cast(Any, provider), asked)
