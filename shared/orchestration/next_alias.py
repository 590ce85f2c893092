"""Decide which alias to ask next for a step, and after which pause.

| outcome | next |
| --- | --- |
| throttled, unknown, empty, or cut off by an error | the alias once more, then its fallback alias |
| throttled, and told to wait longer than LONGEST_PAUSE_S | the fallback alias |
| a prompt that is too long | the alias once more with half of the history, then the fallback alias |
| a parameter that the next request leaves out | the alias again, MOST_ADAPTIONS times at most, beside the above |
| unreachable, no right or quota, no such model, thinking only | the fallback alias |
| refused, filtered | none |

The fallback alias is asked once, and again for a parameter.
"""

import time
from collections.abc import Sequence
from typing import Protocol

from shared.catalog import Model
from shared.llm.port import Completion

# Seconds before a throttled provider is asked again, if it names no wait.
THROTTLE_PAUSE_S = 0.5
# Seconds. Above this wait, the fallback alias is asked.
LONGEST_PAUSE_S = 30.0
# A request has five optional parts.
MOST_ADAPTIONS = 5

_PARAMETER = "invalid_parameter"
_AGAIN = frozenset(
    {
        "throttled",
        "provider_error",
        "timeout",
        "connection_lost",
        "malformed_response",
        "empty_reply",
        "context_overflow",
    }
)
_ELSEWHERE = _AGAIN | {
    "unavailable",
    "provider_unauthorized",
    "provider_quota",
    "model_unavailable",
    "thinking_only",
    _PARAMETER,
}


class Tried(Protocol):
    @property
    def model_alias(self) -> str: ...

    @property
    def completion(self) -> Completion: ...

    @property
    def error(self) -> str | None: ...

    @property
    def ended(self) -> float: ...


def next_alias(model: Model, tried: Sequence[Tried]) -> str | None:
    """Return the alias to ask next for a step that wants `model`. None: the step is over."""
    if not tried:
        return model.alias
    last = tried[-1]
    if last.error == _PARAMETER and _adapts(tried):
        return last.model_alias
    if last.error is None or last.model_alias != model.alias:
        return None
    if last.error in _AGAIN and not _is_long(last) and sum(_counts(attempt, model.alias) for attempt in tried) == 1:
        return model.alias
    return model.fallback_alias if last.error in _ELSEWHERE else None


def _adapts(tried: Sequence[Tried]) -> bool:
    """Whether the next request to the last alias differs from the refused one. The journal does not store this, so an
    attempt of another process counts as yes."""
    last = tried[-1]
    refused = sum(attempt.error == _PARAMETER and attempt.model_alias == last.model_alias for attempt in tried)
    return last.completion.adapted is not False and refused <= MOST_ADAPTIONS


def _counts(attempt: Tried, alias: str) -> bool:
    return attempt.model_alias == alias and attempt.error != _PARAMETER


def _is_long(attempt: Tried) -> bool:
    return (attempt.completion.retry_after_s or 0.0) > LONGEST_PAUSE_S


def pause_before(alias: str, tried: Sequence[Tried]) -> float:
    """Return the seconds to wait before `alias` is asked. Only a throttled alias waits, from its provider's answer on,
    even if another process received it."""
    if not tried or tried[-1].model_alias != alias:
        return 0.0
    last = tried[-1]
    if last.error != "throttled":
        return 0.0
    wait = min(last.completion.retry_after_s or THROTTLE_PAUSE_S, LONGEST_PAUSE_S)
    return min(max(last.ended + wait - time.monotonic(), 0.0), wait)
