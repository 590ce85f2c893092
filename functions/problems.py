"""Write errors as problem+json, or in OpenAI's form for the paths of its API."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from starlette.responses import Response
from starlette.types import Scope

from functions.openai_errors import error_json, retry_headers, speaks_openai
from shared import telemetry
from shared.errors import PantheonError

PROBLEM_JSON: Final = "application/problem+json"
_UNEXPECTED: Final = "Pantheon failed to answer. Give the operator the request id, which finds the error in the log."


def request_id(scope: Scope) -> str:
    return str(scope["aws.event"]["requestContext"]["requestId"])


def problem_response(
    scope: Scope, status: int, code: str, detail: str, extra: Mapping[str, object], headers: Mapping[str, str]
) -> Response:
    """Return a problem document by RFC 9457, or OpenAI's form, which takes only `param` from `extra`."""
    return _answer(scope, status, code, _problem(scope, status, code, detail, extra), headers)


def problem_of(scope: Scope, error: Exception) -> str:
    """Log and count an error, and return its document on one line."""
    telemetry.count_error(error)
    if isinstance(error, PantheonError):
        if error.status >= 500:
            telemetry.report("request failed", error, code=error.code)
        return _problem(scope, error.status, error.code, error.detail, error.extra)
    telemetry.report("unexpected error", error)
    return _problem(scope, 500, "internal_error", _UNEXPECTED, {})


def error_response(scope: Scope, error: Exception) -> Response:
    """Log and count an error, and return the response to it."""
    text = problem_of(scope, error)
    if isinstance(error, PantheonError):
        return _answer(scope, error.status, error.code, text, error.headers)
    return _answer(scope, 500, "internal_error", text, {})


def _answer(scope: Scope, status: int, code: str, text: str, headers: Mapping[str, str]) -> Response:
    if speaks_openai(scope):
        return Response(text, status, {**headers, **retry_headers(status, code)}, "application/json")
    return Response(text, status, dict(headers), PROBLEM_JSON)


def _problem(scope: Scope, status: int, code: str, detail: str, extra: Mapping[str, object]) -> str:
    if speaks_openai(scope):
        param = extra.get("param")
        return error_json(status, code, detail, None if param is None else str(param))
    # ASCII, so that a lone surrogate of the client's cannot break the answer.
    return json.dumps(problem_body(status, code, detail, request_id(scope), extra))


def problem_body(
    status: int, code: str, detail: str, request_id: str, extra: Mapping[str, object]
) -> dict[str, object]:
    """Return the members of a problem document."""
    return {
        "type": f"urn:pantheon:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": request_id,
        **extra,
    }
