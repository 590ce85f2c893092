"""What every HTTP function shares: who is calling, and problem+json for whatever goes wrong.

The rule this file protects: an error has its status and stable code from `shared.errors`, no route catches one, and
no answer or log line holds a trace with data in it.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from mangum import Mangum
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from shared import telemetry
from shared.errors import InvalidMessage, InvalidRequest, PantheonError, Unauthorized
from shared.names import VERSION, Metric
from shared.settings import identity_settings

PROBLEM_JSON = "application/problem+json"
# What a token can make of its bearer. Whatever else its claim lists are another application's groups.
ROLES = frozenset(("member", "admin", "operator"))
# How API Gateway spells a claim that was a list, an object or null: no issuer meant it to name somebody.
_NO_STRING = re.compile(r"(map)?\[.*\]|<nil>", re.DOTALL)
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_STATUS_CODES = {404: "not_found", 405: "method_not_allowed"}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling, by the claims of a token that the gateway has verified."""

    user_id: str
    tenant_id: str
    email: str | None
    roles: tuple[str, ...]


async def caller(request: Request) -> Caller:
    """The caller of this request. Raises Unauthorized where the claims are not those of our issuer and audience."""
    context = request.scope["aws.event"]["requestContext"]
    claims: Mapping[str, str] = context.get("authorizer", {}).get("jwt", {}).get("claims") or {}
    values = identity_settings()
    # Cognito's access tokens carry client_id and no aud.
    audiences = _listed(claims.get("aud", claims.get("client_id", "")))
    if claims.get("iss") != values.jwt_issuer or values.jwt_audience not in audiences:
        raise Unauthorized
    user_id = _identifier(claims.get("sub"))
    tenant = claims.get(values.tenant_claim)
    # Without a tenant the caller is alone in one; the prefix keeps it apart from every tenant that a token can name.
    tenant_id = f"user:{user_id}" if not tenant else _identifier(tenant)
    if tenant and tenant_id.startswith("user:"):
        raise Unauthorized
    roles = dict.fromkeys(role for role in _listed(claims.get(values.roles_claim, "")) if role in ROLES)
    return Caller(user_id, tenant_id, claims.get("email"), tuple(roles) or ("member",))


def _listed(claim: str) -> list[str]:
    """A claim's values: API Gateway hands an array over as "[admin member]", and some issuers send "admin,member"."""
    if claim.startswith("["):
        return claim.strip("[]").split()
    return claim.replace(",", " ").split()


def _identifier(value: str | None) -> str:
    if not value or not is_identifier(value):
        raise Unauthorized
    return value


def is_identifier(value: str) -> bool:
    """Whether a token may name a user or a tenant so."""
    return 0 < len(value) <= 255 and value.isprintable() and not _NO_STRING.fullmatch(value)


def request_id(scope: Scope) -> str:
    return str(scope["aws.event"]["requestContext"]["requestId"])


def create_app(title: str, elsewhere: Sequence[BaseRoute] = ()) -> FastAPI:
    """A FastAPI application that answers every error as problem+json. `elsewhere` are routes at its addresses that the
    gateway gives to another function: only their methods are told here."""
    app = FastAPI(
        title=title,
        version=VERSION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # Its logs hold the text of exceptions, and nobody reads the rest.
        telemetry={"logs": False, "metrics": False, "tracing": False},
    )
    app.add_exception_handler(PantheonError, _answer_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http)
    app.state.elsewhere = elsewhere
    app.add_middleware(_Unexpected)
    return app


def lambda_handler(app: FastAPI) -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    """The Lambda entry point of an application. Logs of an invocation carry its request id."""
    adapter = Mangum(app, lifespan="off", text_mime_types=["text/", "application/json", PROBLEM_JSON])

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        telemetry.begin(event["requestContext"]["requestId"], context)
        return adapter(event, context)

    return handler


def problem_response(
    scope: Scope, status: int, code: str, detail: str, extra: Mapping[str, object], headers: Mapping[str, str]
) -> Response:
    """A problem document by RFC 9457."""
    body = {
        "type": f"urn:pantheon:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": request_id(scope),
        **extra,
    }
    # ASCII, so that a lone surrogate in what the client sent cannot break the answer.
    return Response(json.dumps(body), status, dict(headers), PROBLEM_JSON)


async def _answer_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, PantheonError)
    if error.status >= 500:
        telemetry.report("request failed", error, code=error.code)
    telemetry.count_error(error)
    return problem_response(request.scope, error.status, error.code, error.detail, error.extra, error.headers)


async def _answer_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults = [
        {"path": ".".join(map(str, fault["loc"]))[:200], "message": fault["msg"], "type": fault["type"]}
        for fault in error.errors()
    ]
    if any(fault["path"].startswith("path.") for fault in faults):
        return problem_response(request.scope, 404, "not_found", "There is nothing at this address.", {}, {})
    if any(_is_no_json(fault) for fault in error.errors()):
        detail = "The body must be JSON, sent with Content-Type: application/json."
        return problem_response(request.scope, 400, "invalid_json", detail, {}, {})
    kind = InvalidMessage if any(_is_message(fault) for fault in faults) else InvalidRequest
    detail = "; ".join(f"{fault['path']}: {fault['message']}" for fault in faults[:10])
    return problem_response(request.scope, 422, kind.code, detail, {"errors": faults[:100]}, {})


def _is_no_json(fault: Mapping[str, Any]) -> bool:
    whole = fault["loc"] == ("body",) and (fault["type"] == "missing" or isinstance(fault["input"], bytes))
    return whole or fault["type"] == "json_invalid"


def _is_message(fault: Mapping[str, str]) -> bool:
    """A message that is a string, and cannot be stored."""
    return fault["path"] == "body.message" and fault["type"] == "not_storable"


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 400:
        return problem_response(request.scope, 400, "invalid_json", "The body is not JSON.", {}, {})
    code = _STATUS_CODES.get(error.status_code, "http_error")
    headers = {"Allow": ", ".join(_allowed(request))} if error.status_code == 405 else error.headers or {}
    return problem_response(request.scope, error.status_code, code, error.detail, {}, headers)


def _allowed(request: Request) -> list[str]:
    """All methods of an address; the framework would tell those of its first route."""
    routes = [*request.app.routes, *request.app.state.elsewhere]
    return [
        method
        for method in _METHODS
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    ]


class _Unexpected:
    """Answers 500 for an exception that nobody expected. It is logged by type and place, without its text, which may
    hold what a client or a model said."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except Exception as error:  # noqa: BLE001 the last resort: whatever it is, the client gets an answer
            telemetry.report("unexpected error", error)
            telemetry.count(Metric.UNEXPECTED_ERRORS)
            detail = "Something went wrong on our side; the request id finds it in the log."
            await problem_response(scope, 500, "internal_error", detail, {}, {})(scope, receive, send)
