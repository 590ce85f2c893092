"""Read the body of a chat completion: tokens strictly, text leniently.

A count that cannot be believed, or that contradicts itself, makes the outcome unknown. The form of the text never does,
because any text is billed.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, Field, model_validator

from shared.domain.money import Usage
from shared.llm.chat_message import has_thought, is_refused, text_of, thinking_of
from shared.llm.json_body import read_document
from shared.llm.port import Completion, storable

MAX_WORD: Final = 200
_STOP_REASONS: Final = {
    "stop": "end_turn",
    "eos": "end_turn",
    "eos_token": "end_turn",
    "end_turn": "end_turn",
    "length": "max_tokens",
    "max_tokens": "max_tokens",
    "model_length": "max_tokens",
    "content_filter": "content_filtered",
    "safety": "content_filtered",
    "sensitive": "content_filtered",
}

# Strict: neither true nor 12.0 is a count. The upper bound is what Postgres can keep as bigint.
_Tokens = Annotated[int, Field(strict=True, ge=0, lt=2**63)]


class _PromptDetails(BaseModel):
    cached_tokens: _Tokens | None = None
    cache_write_tokens: _Tokens | None = None


class _CompletionDetails(BaseModel):
    reasoning_tokens: _Tokens | None = None


class _Counts(BaseModel):
    """Reasoning is within `completion_tokens` or beside them. The total tells which."""

    prompt_tokens: _Tokens
    completion_tokens: _Tokens
    total_tokens: _Tokens | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None

    @model_validator(mode="after")
    def _counts_agree(self) -> Self:
        if self.prompt_tokens == 0:
            raise ValueError("no prompt has no tokens")
        if self._cached + self._written > self.prompt_tokens:
            raise ValueError("more of the prompt was cached than there was")
        if self.total_tokens not in (None, *self._totals()):
            raise ValueError("the total is not the sum of its parts")
        return self

    def usage(self) -> Usage:
        """Classes that do not overlap, and whose sums are those that the provider counted."""
        within = 0 if self._reasoning_is_apart() else self._reasoning
        return Usage(
            input_tokens=self.prompt_tokens - self._cached - self._written,
            output_tokens=self.completion_tokens - within,
            cache_read_tokens=self._cached,
            cache_write_tokens=self._written,
            reasoning_tokens=self._reasoning,
        )

    def _totals(self) -> Iterator[int]:
        if self._reasoning <= self.completion_tokens:
            yield self.prompt_tokens + self.completion_tokens
        yield self.prompt_tokens + self.completion_tokens + self._reasoning

    def _reasoning_is_apart(self) -> bool:
        if self.total_tokens is None:
            return self._reasoning > self.completion_tokens
        return self.total_tokens > self.prompt_tokens + self.completion_tokens

    @property
    def _cached(self) -> int:
        return (self.prompt_tokens_details and self.prompt_tokens_details.cached_tokens) or 0

    @property
    def _written(self) -> int:
        return (self.prompt_tokens_details and self.prompt_tokens_details.cache_write_tokens) or 0

    @property
    def _reasoning(self) -> int:
        return (self.completion_tokens_details and self.completion_tokens_details.reasoning_tokens) or 0


def read_completion(body: bytes, request_id: str | None = None) -> Completion:
    """The outcome of a 200 with this body: `unknown` without a readable count. `request_id` is what the
    headers called the response; without it, the body's own id is taken."""
    try:
        document = read_document(body)
        usage = _Counts.model_validate(document["usage"]).usage()
    except (ValueError, TypeError, KeyError, RecursionError):  # pydantic's ValidationError is a ValueError
        return Completion("unknown", provider_request_id=request_id, error="malformed_response")
    choice = _first_choice(document)
    message = choice.get("message")
    text = storable(text_of(message))
    if text.strip() and not counts_output(usage):
        return Completion("unknown", provider_request_id=request_id, error="malformed_response")
    refused = is_refused(message)
    stop_reason = "content_filtered" if refused else _stop_reason(choice.get("finish_reason"))
    return Completion(
        "succeeded",
        text="" if refused else text,
        stop_reason=stop_reason,
        usage=usage,
        provider_request_id=request_id or word(document.get("id")),
        thinking=storable(thinking_of(message)) or None,
        error=_error(document, choice)
        or thinking_only(text, stop_reason, usage.reasoning_tokens or has_thought(message)),
    )


def counts_output(usage: Usage) -> bool:
    """Whether a text may have been counted so: no text has zero tokens."""
    return bool(usage.output_tokens or usage.reasoning_tokens)


def thinking_only(text: str, stop_reason: str | None, thought: object) -> Literal["thinking_only"] | None:
    """The error of an answer that was cut off at its cap before the first word, because the model was thinking."""
    return "thinking_only" if thought and stop_reason == "max_tokens" and not text.strip() else None


def word(value: object) -> str | None:
    """A name that the provider gave something, short enough and fit to be stored; None when it is no text."""
    return storable(value[:MAX_WORD]) if isinstance(value, str) and value else None


def _first_choice(document: dict[str, object]) -> dict[str, object]:
    match document:
        case {"choices": [dict(choice), *_]}:
            return choice
    return {}


def _error(document: Mapping[str, object], choice: Mapping[str, object]) -> Literal["provider_error"] | None:
    """A provider that fails after its first words answers 200 with a part of the text, and counts it."""
    failed = document.get("error") or choice.get("error") or choice.get("finish_reason") == "error"
    return "provider_error" if failed else None


def _stop_reason(finish_reason: object) -> str | None:
    reason = word(finish_reason)
    return _STOP_REASONS.get(reason.lower(), reason) if reason else None
