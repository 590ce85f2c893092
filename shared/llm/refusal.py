"""Read the body of an error, in the shapes that providers and gateways give it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.llm.json_body import read_document

MAX_MESSAGE: Final = 2000
_MAX_WORDS: Final = 8
_CODES: Final = ("code", "type", "status", "reason", "error_code", "__type")
# Codes that stand for a status in a 200.
_STATUS_OF: Final = {
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "resource_exhausted": 429,
    "too_many_requests": 429,
    "throttlingexception": 429,
    "insufficient_quota": 429,
    "invalid_api_key": 401,
    "authentication_error": 401,
    "permission_error": 403,
    "model_not_found": 404,
    "not_found_error": 404,
    "context_length_exceeded": 400,
    "content_filter": 400,
    "invalid_request_error": 400,
    "overloaded_error": 529,
    "server_error": 500,
    "api_error": 500,
    "internal_error": 500,
    "internal_server_error": 500,
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """The parts of an error.

    Attributes:
        message: The text for people, at most MAX_MESSAGE characters.
        codes: The words for programs, in small letters.
        parameter: The parameter of the request that the error is about.
        status: The HTTP status that the body names.
        is_answer: Whether the body also has a part of an answer, or a count of tokens.
        broke_off: Whether the error came after the answer had begun.
        retry_delay: The body's own word for the time to wait, as in "35s".
    """

    message: str = ""
    codes: frozenset[str] = frozenset()
    parameter: str | None = None
    status: int | None = None
    retry_delay: str | None = None
    is_answer: bool = False
    broke_off: bool = False


def read_refusal(body: bytes, error_type: str | None = None) -> Refusal:
    """Read an error's body. `error_type` is the header in which AWS names the exception. If the body is not JSON, the
    whole body is the message."""
    named = frozenset() if error_type is None else frozenset({error_type.partition(":")[0].lower()[:200]})
    try:
        document = read_document(body)
        errors = list(_errors(document))
    except (ValueError, RecursionError):
        return Refusal(body[: 4 * MAX_MESSAGE].decode("utf-8", "replace")[:MAX_MESSAGE], named)
    codes = named | {code for error in errors for code in _codes(error)}
    messages = [text for error in errors for text in _messages(error)]
    return Refusal(
        message=" ".join(messages)[:MAX_MESSAGE],
        codes=codes,
        parameter=next((text for error in errors if (text := _parameter(error))), None),
        status=next((status for error in errors if (status := _status(error))), None)
        or next((_STATUS_OF[code] for code in sorted(codes) if code in _STATUS_OF), None),
        retry_delay=next((delay for error in errors for delay in _delays(error)), None),
        is_answer=_is_answer(document),
        broke_off=_broke_off(document),
    )


def _is_answer(document: Any) -> bool:
    """Whether a model may have worked for this body. Chat completions have choices, and Converse has an output."""
    match document:
        case {"choices": [_, *_]} | {"output": {"message": _}}:
            return True
        case {"usage": dict(usage)}:
            return any(count for count in usage.values() if not isinstance(count, dict))
    return False


def _broke_off(document: Any) -> bool:
    match document:
        case {"choices": [{"error": error}, *_]} if error:
            return True
        case {"choices": [{"finish_reason": "error"}, *_]}:
            return True
        case {"error": error, "choices": _} | {"error": error, "output": _}:
            return bool(error)
    return False


def _errors(document: Any) -> Iterator[Mapping[str, Any]]:
    """The objects that tell of the error, the innermost first."""
    match document:
        case [first, *_]:
            yield from _errors(first)
        case {"error": dict(error)}:
            yield error
            yield {name: value for name, value in document.items() if name != "error"}
        case {"error": str(text)}:
            yield {**document, "message": text}
        case {"errors": [*errors]}:
            yield from (error if isinstance(error, dict) else {"message": error} for error in errors[:_MAX_WORDS])
        case {"detail": [*faults]}:
            yield from (_fault(fault) for fault in faults[:_MAX_WORDS] if isinstance(fault, dict))
        case {"detail": str(text)}:
            yield {**document, "message": text}
        case {"detail": dict(error)}:
            yield error
        case dict():
            yield document


def _fault(fault: Mapping[str, Any]) -> Mapping[str, Any]:
    """A validation error of FastAPI."""
    place = fault.get("loc")
    path = [part for part in place if isinstance(part, str) and part != "body"] if isinstance(place, list) else []
    return {"message": fault.get("msg"), "type": fault.get("type"), "param": ".".join(path[:_MAX_WORDS])}


def _codes(error: Mapping[str, Any]) -> Iterator[str]:
    for name in _CODES:
        value = error.get(name)
        if isinstance(value, str) and value:
            yield value.rpartition("#")[2].lower()[:200]
    inner = error.get("innererror")
    if isinstance(inner, dict):
        yield from _codes({name: inner.get(name) for name in _CODES})


def _messages(error: Mapping[str, Any]) -> Iterator[str]:
    for name in ("message", "Message", "msg"):
        if isinstance(text := error.get(name), str) and text:
            yield text
            break
    match error:
        # A gateway repeats the error of the provider behind it.
        case {"metadata": {"raw": str(raw)}}:
            yield _told_by(raw)


def _told_by(raw: str) -> str:
    try:
        return read_refusal(raw.encode("utf-8", "replace")).message if len(raw) <= MAX_MESSAGE else raw
    except RecursionError:
        return ""


def _parameter(error: Mapping[str, Any]) -> str | None:
    text = error.get("param")
    return text[:200] if isinstance(text, str) else None


def _status(error: Mapping[str, Any]) -> int | None:
    for name in ("code", "status", "status_code", "http_status"):
        value = error.get(name)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
            value = int(value)
        if type(value) is int and 400 <= value <= 599:
            return value
    return None


def _delays(error: Mapping[str, Any]) -> Iterator[str]:
    details = error.get("details")
    for detail in details[:_MAX_WORDS] if isinstance(details, list) else ():
        match detail:
            case {"retryDelay": str(delay)}:
                yield delay[:40]
