"""Read from a provider's answer whether a call is billed, and why it failed.

An outcome is `unbilled` only if the provider refused the request. A 200 without a readable count is `unknown`. If its
body is only an error with a status, that status decides instead.
"""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from shared.llm.body import plain
from shared.llm.chat_completions import word
from shared.llm.dialects import STREAM, is_about_parameter, is_droppable, learnt_as, named_part, refusable_parts
from shared.llm.live_answer import Stream
from shared.llm.port import CallError, Completion, Request
from shared.llm.prompt_too_long import is_overflow, read_window
from shared.llm.provider_message import tell
from shared.llm.refusal import Refusal, read_refusal
from shared.llm.retry_after import read_retry_after
from shared.llm.tokens import is_credible
from shared.llm.wire import Answer

# 4xx by which a provider says that it tried, and failed.
_TRIED: Final = (408, 424)
_QUOTA_CODES: Final = frozenset(
    {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_balance"}
    | {"insufficient_credits", "billing_error", "servicequotaexceededexception", "arrearage", "payment_required"}
)
_QUOTA: Final = re.compile(
    r"insufficient[ _](?:quota|balance|credits?|funds)|(?:exceeded|used up) your (?:current|monthly) (?:quota|usage)"
    r"|billing|credit balance|out of credits|(?:more|enough) credits|payment required|spend(?:ing)? limit",
    re.IGNORECASE,
)
_KEY_CODES: Final = frozenset(
    {"invalid_api_key", "authentication_error", "api_key_invalid", "unrecognizedclientexception"}
    | {"expiredtokenexception", "invalidsignatureexception", "incompletesignature", "invalidclienttokenid"}
)
_KEY: Final = re.compile(
    r"api[ _-]?key (?:is )?(?:not valid|invalid|expired|missing|not found)"
    r"|(?:invalid|incorrect|expired|missing) api[ _-]?key|security token .{0,40}(?:invalid|expired)",
    re.IGNORECASE,
)
_MODEL_CODES: Final = frozenset(
    {"model_not_found", "model_not_available", "model_decommissioned", "model_deprecated", "unknown_model"}
    | {"invalid_model", "no_such_model", "deploymentnotfound", "resourcenotfoundexception", "model_not_active"}
)
_MODEL: Final = re.compile(
    r"no such model|unknown model|invalid model|model (?:identifier|id|name)s? .{0,60}(?:invalid|not valid|unknown)"
    r"|\bmodel\b.{0,120}(?:not exist|n't exist|not found|decommissioned|been (?:retired|removed|deprecated))"
    r"|\bmodel \S{1,120} (?:isn't|is not) (?:a )?(?:valid|supported|available)|is not a valid model"
    r"|access to (?:the |this )?model|on-demand throughput",
    re.IGNORECASE,
)
_FILTER_CODES: Final = frozenset(
    {"content_filter", "content_policy_violation", "responsibleaipolicyviolation", "data_inspection_failed"}
    | {"content_filtered", "moderation", "moderation_blocked", "prohibited_content", "safety", "sensitive_content"}
)
_FILTER: Final = re.compile(
    r"content[ _](?:filter|policy|management|moderation|exists risk|violat)|safety (?:system|filter|polic)|usage polic"
    r"|flagged|moderation|inappropriate content|prohibited content|blocked by .{0,40}(?:guardrail|filter|polic|safety)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a provider answers: the header in which it names a response, how the body of a 200 is read, and how one that
    is streamed is put together."""

    request_id_header: str
    read: Callable[[bytes, str | None], Completion]
    stream: Callable[[], Stream]


@dataclass(frozen=True, slots=True)
class Sent:
    """The facts about a sent request that are not in the request itself.

    Attributes:
        optional: The names of the parts that another request could leave out.
        secrets: The texts that no log line may hold.
        learn: Takes a refused part. Returns whether the next request differs.
    """

    optional: Collection[str] = ()
    secrets: Sequence[str] = ()
    learn: Callable[[str], bool] = lambda _: True


def outcome(answer: Answer, dialect: Dialect, request: Request, sent: Sent = Sent()) -> Completion:
    """The outcome of `request`, which was answered so."""
    request_id = word(answer.headers.get(dialect.request_id_header))
    body = plain(answer.body, answer.headers)
    if answer.status == 200:
        completion = _believed(dialect.read(body, request_id), request)
        if completion.status == "succeeded":
            return _explained(completion, request)
    status = answer.status
    refusal = read_refusal(body, answer.headers.get("x-amzn-errortype"))
    if 300 <= status < 400:
        refusal = Refusal(_redirected(answer.headers.get("location", "")))
    if status == 200 and refusal.status and not refusal.is_answer:
        status = refusal.status
    if 200 <= status < 300 and not refusal.broke_off:
        return Completion("unknown", provider_request_id=request_id, error="malformed_response")
    known = (request.model.model_id, *sent.optional)
    told = tell(refusal.message, [message.text for message in request.messages], sent.secrets, known)
    named = Completion(
        "unbilled",
        provider_request_id=request_id,
        retry_after_s=read_retry_after(answer.headers, refusal),
        provider_message=told,
    )
    if not 300 <= status < 500 or status in _TRIED:
        return replace(named, status="unknown", error="provider_error")
    return _refused(named, status, refusal, request, sent)


def _redirected(location: str) -> str:
    """Say where a redirect leads, without a user or a path, which may hold a secret."""
    place = re.match(r"(https?://)(?:[^/?#@]*@)?([^/?#@:]{1,200})", location)
    return (
        f"Redirected to {place[1] + place[2] if place else 'another path'}. Redirects are not followed: see base_url."
    )


def _believed(completion: Completion, request: Request) -> Completion:
    """Make the outcome unknown if its count is too high for `request`."""
    if is_credible(completion.usage, request):
        return completion
    return Completion("unknown", provider_request_id=completion.provider_request_id, error="malformed_response")


def _explained(completion: Completion, request: Request) -> Completion:
    """Say which cap thinking used up, and which setting raises it."""
    if completion.error != "thinking_only":
        return completion
    counted = completion.usage.output_tokens + completion.usage.reasoning_tokens
    message = (
        f"All {counted} output tokens went into thinking (cap: {request.max_output_tokens}). Raise max_output_tokens "
        f"of the agent and of [aliases.{request.model.alias}], or lower its thinking."
    )
    return replace(completion, provider_message=message)


def _refused(named: Completion, status: int, refusal: Refusal, request: Request, sent: Sent) -> Completion:
    error = _error(status, refusal, named.retry_after_s)
    # A quotation of the prompt must name no window and no parameter, which other tenants' calls would keep to.
    if error == "context_overflow":
        return replace(named, error=error, context_window=read_window(named.provider_message or ""))
    unquoted = replace(refusal, message=named.provider_message or "")
    part = named_part(unquoted, refusable_parts(status, sent.optional))
    # Some providers say that a model is not supported, and mean its streaming.
    is_named = error is None or refusal.parameter or status == 403
    if part is not None and (is_named or (part == STREAM and error == "model_unavailable")):
        adapted = is_droppable(part, unquoted) and sent.learn(learnt_as(part, unquoted, request))
        return replace(named, error="invalid_parameter", adapted=adapted)
    if error is not None:
        return replace(named, error=error)
    if status in (400, 422) and is_about_parameter(unquoted):
        return replace(named, error="invalid_parameter", adapted=False)
    return replace(named, error="refused")


def _error(status: int, refusal: Refusal, retry_after_s: float | None) -> CallError | None:
    """The reason that a status tells alone, or with the error's codes and words. None if they tell none."""
    if status < 400:
        return "refused"
    text, codes = refusal.message, refusal.codes
    if status == 429:
        # Limits per minute call themselves quotas too, and say when to come again.
        used_up = codes & _QUOTA_CODES or (retry_after_s is None and _QUOTA.search(text))
        return "provider_quota" if used_up else "throttled"
    is_invalid = status in (400, 422)
    reasons: tuple[tuple[CallError, object], ...] = (
        ("context_overflow", status == 413 or (is_invalid and any(map(is_overflow, (text, *codes))))),
        ("provider_quota", status == 402 or codes & _QUOTA_CODES or (status in (400, 403) and _QUOTA.search(text))),
        ("provider_unauthorized", status == 401),
        ("model_unavailable", status in (404, 410) or codes & _MODEL_CODES or _MODEL.search(text)),
        ("content_filtered", codes & _FILTER_CODES or _FILTER.search(text)),
        ("provider_unauthorized", status == 403 or codes & _KEY_CODES or _KEY.search(text)),
    )
    return next((error for error, holds in reasons if holds), None)
