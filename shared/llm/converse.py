"""Write a request of Bedrock's Converse, and read its response: tokens strictly, text leniently.

A count that cannot be believed, or that contradicts itself, makes the outcome unknown. The form of the text never does,
because any text is billed.
"""

import json
import re
from collections.abc import Collection, Mapping
from itertools import groupby
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, Field, model_validator

from shared.domain.money import Usage
from shared.llm.cache_points import add_cache_points, has_cache_points
from shared.llm.chat_completions import counts_output, thinking_only, word
from shared.llm.dialects import OPTIONAL, cache_minimum, schema, temperature
from shared.llm.json_body import read_document
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
    totalTokens: _Tokens | None = None

    @model_validator(mode="after")
    def _counts_agree(self) -> Self:
        if self._kept_an_hour() > (self.cacheWriteInputTokens or 0):
            raise ValueError("more is kept for an hour than was written")
        cached = (self.cacheReadInputTokens or 0) + (self.cacheWriteInputTokens or 0)
        # Some models leave the cache out of the total.
        counted = self.inputTokens + self.outputTokens
        if self.totalTokens not in (None, counted, counted + cached):
            raise ValueError("the total is not the sum of its parts")
        if self.inputTokens + cached == 0:
            raise ValueError("no prompt has no tokens")
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


def write_request(request: Request, stage: str, refused: Collection[str] = ()) -> dict[str, Any]:
    """The arguments of boto3's `converse`, without the parts that were refused. Its invocation log repeats
    `requestMetadata`."""
    dialect = request.model.dialect
    metadata = {"call_id": request.call_id, "turn_id": request.turn_id, "stage": stage}
    inference: dict[str, Any] = {"maxTokens": request.max_output_tokens}
    if (degrees := temperature(request, refused)) is not None:
        inference["temperature"] = degrees
    converse: dict[str, Any] = {
        "modelId": request.model.model_id,
        "messages": _conversation(request),
        "inferenceConfig": inference,
        "requestMetadata": {name: metadata_value(value) for name, value in metadata.items()},
    }
    if system := [_block(message.text) for message in request.messages if message.role == "system"]:
        converse["system"] = system
    if (minimum := cache_minimum(request, refused)) is not None:
        add_cache_points(converse, minimum, continues=request.continues)
    if "thinking" not in refused and (dialect.thinking is False or isinstance(dialect.thinking, str)):
        # Thinking is taken from the answer's own cap.
        kind = dialect.thinking or "disabled"
        converse["additionalModelRequestFields"] = {"thinking": {"type": kind}}
    if (wanted := schema(request, refused, "outputConfig")) is not None:
        definition = {"name": "answer", "schema": json.dumps(without_bounds(wanted))}
        structure = {"type": "json_schema", "structure": {"jsonSchema": definition}}
        converse["outputConfig"] = {"textFormat": structure}
    return converse


def optional_parts(converse: Mapping[str, Any]) -> frozenset[str]:
    """The names of the parts of a written request that another one could leave out."""
    inside = {**converse["inferenceConfig"], **converse.get("additionalModelRequestFields", {})}
    points = {"cachePoint"} if has_cache_points(converse) else set()
    return OPTIONAL & (converse.keys() | inside.keys() | points)


def read_response(body: bytes, request_id: str | None = None) -> Completion:
    """The outcome of a 200 with this body: `unknown` without a readable count. `request_id` is what the headers
    called the response."""
    try:
        document = read_document(body)
        usage = Counts.model_validate(document["usage"]).usage()
    except (ValueError, TypeError, KeyError, RecursionError):  # pydantic's ValidationError is a ValueError
        return Completion("unknown", provider_request_id=request_id, error="malformed_response")
    text = storable(_text(document))
    if text.strip() and not counts_output(usage):
        return Completion("unknown", provider_request_id=request_id, error="malformed_response")
    said = word(document.get("stopReason"))
    stop_reason = _STOP_REASONS.get(said, said) if said else None
    return Completion(
        "succeeded",
        text=text,
        stop_reason=stop_reason,
        usage=usage,
        provider_request_id=request_id,
        thinking=storable(_thinking(document)) or None,
        error="provider_error" if document.get("error") else thinking_only(text, stop_reason, _thought(document)),
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


def _thought(document: object) -> bool:
    match document:
        case {"output": {"message": {"content": [*blocks]}}}:
            return any(isinstance(block, dict) and "reasoningContent" in block for block in blocks)
    return False


def _thinking(document: object) -> str:
    match document:
        case {"output": {"message": {"content": [*blocks]}}}:
            return "".join(map(_block_thinking, blocks))
    return ""


def _block_thinking(block: object) -> str:
    match block:
        case {"reasoningContent": {"reasoningText": {"text": str(text)}}}:
            return text
    return ""


def _block_text(block: object) -> str:
    """Blocks of other kinds hold a model's thinking."""
    match block:
        case {"text": str(text)}:
            return text
    return ""
