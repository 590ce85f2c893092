"""Bedrock's Converse: the request, written, and the response, read.

The rule this file protects: tokens are read strictly and text leniently. A count that cannot be believed
makes the outcome unknown; nothing about the text ever does, since it is billed whatever it looks like.
"""

import json
import re
from itertools import groupby
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, Field, model_validator

from shared.domain.money import Usage
from shared.llm.chat_completions import word
from shared.llm.port import Completion, Request, storable
from shared.llm.schema import without_bounds

_STOP_REASONS: Final = {
    "guardrail_intervened": "content_filtered",
    "refusal": "content_filtered",
    # Cut, if not at the cap that was asked for.
    "model_context_window_exceeded": "max_tokens",
}
_NOT_METADATA: Final = re.compile(r"[^a-zA-Z0-9\s:_@$#=/+,.-]", re.ASCII)
_MOST_METADATA: Final = 256

# Strict: neither true nor 12.0 is a count. The upper bound is what Postgres can keep as bigint.
_Tokens = Annotated[int, Field(strict=True, ge=0, lt=2**63)]


class _CacheDetail(BaseModel):
    # Nobody would know what another time costs.
    ttl: Literal["5m", "1h"]
    inputTokens: _Tokens


class Counts(BaseModel):
    """`inputTokens` leaves out what the cache served or took in; `cacheDetails` says for how long it took it in.
    Thinking is among `outputTokens`."""

    inputTokens: _Tokens
    outputTokens: _Tokens
    cacheReadInputTokens: _Tokens | None = None
    cacheWriteInputTokens: _Tokens | None = None
    cacheDetails: list[_CacheDetail] | None = None

    @model_validator(mode="after")
    def _details_are_of_the_whole(self) -> Self:
        if self._kept_an_hour() > (self.cacheWriteInputTokens or 0):
            raise ValueError("more is kept for an hour than was written")
        return self

    def _kept_an_hour(self) -> int:
        return sum(detail.inputTokens for detail in self.cacheDetails or () if detail.ttl == "1h")

    def usage(self) -> Usage:
        return Usage(
            input_tokens=self.inputTokens,
            output_tokens=self.outputTokens,
            cache_read_tokens=self.cacheReadInputTokens or 0,
            cache_write_tokens=self.cacheWriteInputTokens or 0,
            cache_write_1h_tokens=self._kept_an_hour(),
        )


def write_request(request: Request, stage: str) -> dict[str, Any]:
    """The arguments of boto3's `converse`. Its invocation log repeats `requestMetadata`."""
    dialect = request.model.dialect
    metadata = {"call_id": request.call_id, "turn_id": request.turn_id, "stage": stage}
    inference: dict[str, Any] = {"maxTokens": request.max_output_tokens}
    if request.temperature is not None and dialect.temperature is not False:
        inference["temperature"] = request.temperature
    converse: dict[str, Any] = {
        "modelId": request.model.model_id,
        "messages": _conversation(request),
        "inferenceConfig": inference,
        "requestMetadata": {name: metadata_value(value) for name, value in metadata.items()},
    }
    if system := [_block(message.text) for message in request.messages if message.role == "system"]:
        converse["system"] = system
    if dialect.thinking is False or isinstance(dialect.thinking, str):
        # Thinking is taken from the answer's own cap.
        kind = dialect.thinking or "disabled"
        converse["additionalModelRequestFields"] = {"thinking": {"type": kind}}
    if request.response_schema is not None and dialect.json_schema is not False:
        definition = {"name": "answer", "schema": json.dumps(without_bounds(request.response_schema))}
        structure = {"type": "json_schema", "structure": {"jsonSchema": definition}}
        converse["outputConfig"] = {"textFormat": structure}
    return converse


def read_response(body: bytes, request_id: str | None = None) -> Completion:
    """The outcome of a 200 with this body: `unknown` without a readable count. `request_id` is what the headers
    called the response."""
    try:
        document = json.loads(body.decode("utf-8", "replace"), strict=False)
        usage = Counts.model_validate(document["usage"]).usage()
    except (ValueError, TypeError, KeyError, RecursionError):  # pydantic's ValidationError is a ValueError
        return Completion("unknown", provider_request_id=request_id, error="malformed_response")
    stop_reason = word(document.get("stopReason"))
    return Completion(
        "succeeded",
        text=storable(_text(document)),
        stop_reason=_STOP_REASONS.get(stop_reason, stop_reason) if stop_reason else None,
        usage=usage,
        provider_request_id=request_id,
    )


def metadata_value(text: str) -> str:
    """`text` as Bedrock takes it, and repeats it in its log."""
    return _NOT_METADATA.sub("-", text)[:_MOST_METADATA]


def _conversation(request: Request) -> list[dict[str, Any]]:
    """User and assistant by turns, which models insist on: neighbours of one role become one message."""
    said = [message for message in request.messages if message.role != "system"]
    by_turns = groupby(said, key=lambda message: message.role)
    return [{"role": role, "content": [_block(message.text) for message in group]} for role, group in by_turns]


def _block(text: str) -> dict[str, str]:
    return {"text": storable(text)}


def _text(document: object) -> str:
    match document:
        case {"output": {"message": {"content": [*blocks]}}}:
            return "".join(map(_block_text, blocks))
    return ""


def _block_text(block: object) -> str:
    """Blocks of other kinds hold a model's thinking."""
    match block:
        case {"text": str(text)}:
            return text
    return ""
