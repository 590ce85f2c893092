"""Write a turn as the answer of OpenAI's chat completions.

A failed turn is 502 with its code, and a cancelled one is 502 `cancelled`. A turn that another process continues is 503
`turn_handed_over`. The SDKs then retry, and get the turn.
"""

import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from starlette.responses import Response
from starlette.types import Scope

from functions.openai_errors import HANDED_OVER
from functions.problems import problem_response
from shared.domain.chat import shown_body
from shared.domain.outcome import TurnOutcome
from shared.domain.turn import SIZE_LIMIT

_CUT: Final = ("max_tokens", SIZE_LIMIT)
_RETRY_AFTER_S: Final = 5
HANDED_OVER_DETAIL: Final = "The turn goes on in another process. Send the same request again to get its answer."


def completion_of(outcome: TurnOutcome, model: str, *, is_call: bool) -> dict[str, Any]:
    """Return the completion of a turn that ended with an answer. `model` is as the client wrote it."""
    turn = json.loads(outcome.body)
    call_id = outcome.calls[-1].call_id if is_call else None
    message = {"role": "assistant", "content": shown_body(turn), "refusal": None}
    return {
        "id": completion_id(call_id or turn["id"]),
        "object": "chat.completion",
        "created": created_at(turn),
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason(turn)}],
        "usage": usage_of(turn),
        "pantheon": pantheon_of(turn, is_call=is_call),
    }


def failure_of(scope: Scope, outcome: TurnOutcome) -> Response | None:
    """Return the error response of a turn without an answer, None if it has one."""
    told = failure_told(outcome)
    if told is None:
        return None
    status, code, detail = told
    headers = {"Retry-After": str(max(_RETRY_AFTER_S, math.ceil(outcome.wait_s)))} if code == HANDED_OVER else {}
    return problem_response(scope, status, code, detail, {}, headers)


def failure_told(outcome: TurnOutcome) -> tuple[int, str, str] | None:
    """Return status, code and detail of a turn without an answer, None if it has one."""
    if not outcome.ended:
        return 503, HANDED_OVER, HANDED_OVER_DETAIL
    return failure_in(json.loads(outcome.body))


def failure_in(turn: Mapping[str, Any]) -> tuple[int, str, str] | None:
    """Return status, code and detail of an ended turn without an answer, None if it has one."""
    if turn["status"] == "completed":
        return None
    if turn["error"] is None:
        return 502, "cancelled", "The turn was cancelled."
    reasons = [f"{reply['name']}: {reply['error']['detail']}" for reply in turn["replies"] if reply["error"]]
    return 502, turn["error"]["code"], " ".join([turn["error"]["detail"], *reasons])


def completion_id(id_: object) -> str:
    return f"chatcmpl-{id_}"


def created_at(turn: Mapping[str, Any]) -> int:
    """Return the turn's creation in seconds since 1970."""
    return int(datetime.fromisoformat(turn["created_at"]).timestamp())


def finish_reason(turn: Mapping[str, Any]) -> str:
    return "length" if any(reply["stop_reason"] in _CUT for reply in turn["replies"]) else "stop"


def usage_of(turn: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tokens of all calls. OpenAI counts cached tokens as prompt, and reasoning as completion."""
    used = turn["usage"]
    prompt = used["input_tokens"] + used["cache_read_tokens"] + used["cache_write_tokens"]
    completion = used["output_tokens"] + used["reasoning_tokens"]
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": used["cache_read_tokens"]},
        "completion_tokens_details": {"reasoning_tokens": used["reasoning_tokens"]},
    }


def pantheon_of(turn: Mapping[str, Any], *, is_call: bool) -> dict[str, Any]:
    """Return Pantheon's part of the answer: the turn, its cost and its replies."""
    return {
        "turn_id": None if is_call else turn["id"],
        "session_id": None if is_call else turn["session_id"],
        "cost_usd": turn["cost_usd"],
        "platform_cost_usd": turn["platform_cost_usd"],
        "plan": turn["plan"],
        "replies": turn["replies"],
    }
