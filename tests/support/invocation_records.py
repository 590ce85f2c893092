"""Makes records of Bedrock's invocation log, and the S3 objects that hold them."""

import gzip
import json
from typing import Any
from uuid import UUID, uuid4

from shared.domain.money import Usage

MODEL = "arn:aws:bedrock:eu-central-1:123456789012:inference-profile/global.anthropic.claude-haiku-5-5"


def invocation(call_id: UUID, usage: Usage, stage: str) -> dict[str, Any]:
    """Of a Converse that was answered."""
    answered = {
        "inputTokens": usage.input_tokens,
        "outputTokens": usage.output_tokens,
        "cacheReadInputTokens": usage.cache_read_tokens,
        "cacheWriteInputTokens": usage.cache_write_tokens,
        "cacheDetails": [{"ttl": "1h", "inputTokens": usage.cache_write_1h_tokens}],
    }
    message = {"role": "assistant", "content": [{"text": "sesame"}]}
    return {
        "schemaType": "ModelInvocationLog",
        "schemaVersion": "1.0",
        "timestamp": "2026-11-02T10:00:17Z",
        "accountId": "123456789012",
        "identity": {"arn": "arn:aws:sts::123456789012:assumed-role/turns/turns"},
        "region": "eu-central-1",
        "requestId": str(uuid4()),
        "operation": "Converse",
        "modelId": MODEL,
        "input": {
            "inputContentType": "application/json",
            "inputBodyJson": {"messages": [{"role": "user", "content": [{"text": "sesame"}]}]},
            "inputTokenCount": usage.input_tokens,
            "cacheReadInputTokenCount": usage.cache_read_tokens,
            "cacheWriteInputTokenCount": usage.cache_write_tokens,
        },
        "output": {
            "outputContentType": "application/json",
            "outputBodyJson": {"output": {"message": message}, "stopReason": "end_turn", "usage": answered},
            "outputTokenCount": usage.output_tokens,
        },
        "requestMetadata": {"call_id": str(call_id), "turn_id": str(uuid4()), "stage": stage},
    }


def packed(*records: object) -> bytes:
    """An object's content. Bytes are lines as they are, anything else is written as JSON."""
    lines = (record if isinstance(record, bytes) else json.dumps(record).encode() for record in records)
    return gzip.compress(b"\n".join(lines) + b"\n")
