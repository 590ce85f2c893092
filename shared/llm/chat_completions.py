"""The body of a chat completion, read.

The rule this file protects: tokens are read strictly and text leniently. A count that cannot be believed
makes the outcome unknown; nothing about the text ever does, since it is billed whatever it looks like.
"""

import json
from typing import Annotated, Final

from pydantic import BaseModel, Field

from shared.domain.money import Usage
from shared.llm.port import Completion, storable

MAX_WORD: Final = 200
_STOP_REASONS: Final = {"stop": "end_turn", "length": "max_tokens", "content_filter": "content_filtered"}

# Strict: neither true nor 12.0 is a count. The upper bound is what Postgres can keep as bigint.
_Tokens = Annotated[int, Field(strict=True, ge=0, lt=2**63)]


class _PromptDetails(BaseModel):
    cached_tokens: _Tokens | None = None
    cache_write_tokens: _Tokens | None = None


class _CompletionDetails(BaseModel):
    reasoning_tokens: _Tokens | None = None


class _Counts(BaseModel):
    prompt_tokens: _Tokens
    completion_tokens: _Tokens
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None

    def usage(self) -> Usage:
        """Classes that do not overlap, and whose sums stay what the provider counted."""
        details = self.prompt_tokens_details or _PromptDetails()
        cached = min(details.cached_tokens or 0, self.prompt_tokens)
        written = min(details.cache_write_tokens or 0, self.prompt_tokens - cached)
        reasoning = (self.completion_tokens_details and self.completion_tokens_details.reasoning_tokens) or 0
        reasoning = min(reasoning, self.completion_tokens)
        return Usage(
            input_tokens=self.prompt_tokens - cached - written,
            output_tokens=self.completion_tokens - reasoning,
            cache_read_tokens=cached,
            cache_write_tokens=written,
            reasoning_tokens=reasoning,
        )


def read_completion(body: bytes, request_id: str | None = None) -> Completion:
    """The outcome of a 200 with this body: `unknown` without a readable count. `request_id` is what the
    headers called the response; without it, the body's own id is taken."""
    try:
        document = json.loads(body.decode("utf-8", "replace"), strict=False)
        usage = _Counts.model_validate(document["usage"]).usage()
    except (ValueError, TypeError, KeyError, RecursionError):  # pydantic's ValidationError is a ValueError
        return Completion("unknown", provider_request_id=request_id, error="malformed_response")
    choice = _first_choice(document)
    message = choice.get("message")
    refused = isinstance(message, dict) and bool(message.get("refusal"))
    return Completion(
        "succeeded",
        text="" if refused else storable(_text(message)),
        stop_reason="content_filtered" if refused else _stop_reason(choice.get("finish_reason")),
        usage=usage,
        provider_request_id=request_id or word(document.get("id")),
    )


def word(value: object) -> str | None:
    """A name that the provider gave something, short enough and fit to be stored; None when it is no text."""
    return storable(value[:MAX_WORD]) if isinstance(value, str) and value else None


def _first_choice(document: dict[str, object]) -> dict[str, object]:
    match document:
        case {"choices": [dict(choice), *_]}:
            return choice
    return {}


def _text(message: object) -> str:
    match message:
        case {"content": str(text)}:
            return text
        case {"content": [*parts]}:
            return "".join(map(_part, parts))
    return ""


def _part(part: object) -> str:
    match part:
        case {"type": "text", "text": str(text)}:
            return text
    return ""


def _stop_reason(finish_reason: object) -> str | None:
    reason = word(finish_reason)
    return _STOP_REASONS.get(reason, reason) if reason else None
