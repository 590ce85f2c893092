"""Make the FastAPI applications and the Lambda handlers of HTTP functions, and answer their errors.

`shared.errors` gives each error its status and stable code, and no route catches one. No answer and no log line holds a
trace with data.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from mangum import Mangum
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from functions.asgi import answer
from functions.openai_errors import param_of, speaks_openai
from functions.problems import PROBLEM_JSON, error_response, problem_response
from functions.stream import Stream
from functions.strict_route import StrictRoute
from shared import telemetry
from shared.domain.actor import Actor
from shared.domain.origins import origin_pattern
from shared.errors import InvalidMessage, InvalidRequest, PantheonError, Unauthorized
from shared.names import CALLER_FIELDS, CORS_RESPONSE_HEADERS, VERSION
from shared.settings import http_settings

_TEXT_TYPES = ("text/", "application/json", PROBLEM_JSON, "image/svg+xml", "application/manifest+json")
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_STATUS_CODES = {404: "not_found"}
NOT_JSON = "The body must be JSON, sent with Content-Type: application/json."


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller that the authorizer identified. `key_id` is the id of the API key, None for a token."""

    user_id: str
    tenant_id: str
    email: str | None
    roles: tuple[str, ...]
    key_id: str | None = None

    @property
    def actor(self) -> Actor:
        """Return the caller for the database. The operator's role sees no session of a tenant."""
        return Actor(self.tenant_id, self.user_id, is_admin="admin" in self.roles)


async def caller(request: Request) -> Caller:
    """Return the caller of this request. Raises Unauthorized if the authorizer did not admit it."""
    told: Mapping[str, str] = request.scope["aws.event"]["requestContext"].get("authorizer") or {}
    if any(field not in told for field in CALLER_FIELDS):
        raise Unauthorized
    roles = tuple(json.loads(told["roles"]))
    return Caller(told["user"], told["tenant"], told["email"] or None, roles, told["key_id"] or None)


def base_path(scope: Scope) -> str:
    """Return the prefix of every path: `/live` at API Gateway's own domain, empty at a custom domain."""
    context = scope["aws.event"]["requestContext"]
    stage = f"/{context['stage']}"
    return stage if f"{context.get('path', '')}/".startswith(f"{stage}/") else ""


def create_app(title: str, elsewhere: Sequence[BaseRoute] = ()) -> FastAPI:
    """Make a FastAPI application that answers every error as problem+json.

    `elsewhere` are routes at its paths that the gateway sends to another function. `Allow` names their methods."""
    app = FastAPI(
        title=title,
        version=VERSION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
        # Its logs hold the text of exceptions. Its metrics and traces are not used.
        telemetry={"logs": False, "metrics": False, "tracing": False},
    )
    app.add_exception_handler(PantheonError, _answer_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http)
    app.state.elsewhere = elsewhere
    app.router.route_class = StrictRoute
    app.add_middleware(_Unexpected)
    app.add_middleware(_CrossOrigin)
    return app


def _operation_id(route: APIRoute) -> str:
    """Return the endpoint's name in camel case, such as `createSession`."""
    first, *rest = route.name.split("_")
    return first + "".join(map(str.capitalize, rest))


def lambda_handler(app: FastAPI) -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    """Return the Lambda entry point of an application. Its log lines carry the request id."""
    adapter = Mangum(app, lifespan="off", text_mime_types=[*_TEXT_TYPES])

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        return adapter(_begun(event, context), context)

    return handler


def streaming_handler(app: FastAPI) -> Callable[[dict[str, Any], Any], Any]:
    """Return the Lambda entry point of an application that streams. It returns a dict or a Stream."""

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any] | Stream:
        return answer(app, _begun(event, context), context, _TEXT_TYPES)

    return handler


def _begun(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Set the log's request id, and return the event with the requested path."""
    telemetry.begin(event["requestContext"]["requestId"], context)
    # `event.path` depends on the domain's mapping. This one is always the requested path.
    if asked := event["requestContext"].get("path"):
        return {**event, "path": asked.removeprefix(base_path({"aws.event": event})) or "/"}
    return event


async def _answer_error(request: Request, error: Exception) -> Response:
    return error_response(request.scope, error)


async def _answer_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults = [
        {"path": ".".join(map(str, fault["loc"]))[:200], "message": fault["msg"], "type": fault["type"]}
        for fault in error.errors()
    ]
    if any(fault["path"].startswith("path.") for fault in faults):
        return problem_response(request.scope, 404, "not_found", "There is nothing at this address.", {}, {})
    if any(_is_no_json(fault) for fault in error.errors()):
        return problem_response(request.scope, 400, "invalid_json", NOT_JSON, {}, {})
    kind = InvalidMessage if any(_is_message(fault) for fault in faults) else InvalidRequest
    detail = "; ".join(f"{fault['path']}: {fault['message']}" for fault in faults[:10])
    places = {"param": param_of(error.errors()[0]["loc"])} if speaks_openai(request.scope) else {"errors": faults[:100]}
    return problem_response(request.scope, 422, kind.code, detail, places, {})


def _is_no_json(fault: Mapping[str, Any]) -> bool:
    whole = fault["loc"] == ("body",) and (fault["type"] == "missing" or isinstance(fault["input"], bytes))
    return whole or fault["type"] == "json_invalid"


def _is_message(fault: Mapping[str, str]) -> bool:
    """Return whether the message is a string that cannot be stored."""
    return fault["path"] == "body.message" and fault["type"] == "not_storable"


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 400:
        return problem_response(request.scope, 400, "invalid_json", "The body is not JSON.", {}, {})
    # The path also exists if another function answers all of its methods.
    if error.status_code in (404, 405) and (allowed := _allowed(request)):
        headers = {"Allow": ", ".join(allowed)}
        return problem_response(request.scope, 405, "method_not_allowed", "Method Not Allowed", {}, headers)
    code = _STATUS_CODES.get(error.status_code, "http_error")
    return problem_response(request.scope, error.status_code, code, error.detail, {}, error.headers or {})


def _allowed(request: Request) -> list[str]:
    """Return all methods of a path. The framework names only those of the first route."""
    routes = [*request.app.routes, *request.app.state.elsewhere]
    return [
        method
        for method in _METHODS
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    ]


class _CrossOrigin:
    """Allow pages of the configured origins to read answers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _readable(self._app, http_settings().cors_origins)(scope, receive, send)


@cache
def _readable(app: ASGIApp, origins: str) -> ASGIApp:
    pattern = origin_pattern(origins)
    if pattern is None:
        return app
    return CORSMiddleware(app, allow_origin_regex=pattern, expose_headers=CORS_RESPONSE_HEADERS)


class _Unexpected:
    """Answer 500 for an unexpected exception, and log it without its text, which may quote a client or a model."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception as error:
            response = error_response(scope, error)
            if started:
                # The client sees an incomplete response.
                raise
            await response(scope, receive, send)
