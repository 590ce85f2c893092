"""HTTP to API Gateway's event and back (payload format 2.0).

The rule this file protects: a handler cannot tell this event from one that API Gateway built. Claims are
strings, the path is decoded, the query is not, and a body that is no text travels in base64.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.responses import Response
from starlette.types import Scope

from local.gateway.routes import Route

_API_ID: Final = "local"
_ACCOUNT: Final = "000000000000"
_TEXT_TYPE: Final = re.compile(r"text/|application/(?:[\w.-]+\+)?(?:json|xml|javascript)\b", re.IGNORECASE)
_HEADER_NAME: Final = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
# The first are meant for the connection, which ends here. Of the others, a client's own word does not count.
_CONNECTION: Final = frozenset(("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"))
_REPLACED: Final = frozenset(("cookie", "x-forwarded-for", "x-forwarded-port", "x-forwarded-proto"))


class InvalidResponse(Exception):
    """What the function returned is no HTTP response in payload format 2.0."""


def build_event(
    scope: Scope,
    body: bytes,
    route: Route,
    path_parameters: Mapping[str, str],
    claims: Mapping[str, Any] | None,
    request_id: str,
) -> dict[str, Any]:
    """The event of one request. `scope` is ASGI's; `claims` are a verified token's, None on an open route."""
    headers = _headers(scope)
    query = scope["query_string"].decode("utf-8", "replace")
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route.key,
        "rawPath": scope["path"],
        "rawQueryString": query,
        "headers": headers,
        "requestContext": _context(scope, headers, route, claims, request_id),
        "isBase64Encoded": False,
    }
    if cookies := _cookies(scope):
        event["cookies"] = cookies
    if query:
        event["queryStringParameters"] = _joined(parse_qsl(query, keep_blank_values=True))
    if path_parameters:
        event["pathParameters"] = dict(path_parameters)
    if body:
        event["body"], event["isBase64Encoded"] = _body(body, headers.get("content-type", ""))
    return event


def build_response(result: object) -> Response:
    """The HTTP response that a function's result stands for. Raises InvalidResponse."""
    if not isinstance(result, dict):
        raise InvalidResponse("not an object")
    status, body = result.get("statusCode"), result.get("body") or ""
    if not isinstance(status, int) or not 200 <= status <= 599:
        raise InvalidResponse("statusCode")
    if not isinstance(body, str):
        raise InvalidResponse("body")
    try:
        content = b64decode(body, validate=True) if result.get("isBase64Encoded") else body.encode()
    except (Base64Error, UnicodeEncodeError) as error:
        raise InvalidResponse("body") from error
    headers = _response_headers(result)
    response = Response(b"" if status in (204, 304) else content, status)
    response.raw_headers.extend((name.encode(), value.encode("latin-1")) for name, value in headers)
    return response


def claims_as_strings(claims: Mapping[str, Any]) -> dict[str, str]:
    """Every claim as API Gateway hands it over: a list becomes "[admin member]", a number its digits."""
    return {name: _as_string(value) for name, value in claims.items()}


def _as_string(value: object) -> str:
    match value:
        case None:
            return "<nil>"
        case bool():
            return str(value).lower()
        case list():
            return f"[{' '.join(map(_as_string, value))}]"
        case dict():
            return f"map[{' '.join(f'{name}:{_as_string(member)}' for name, member in value.items())}]"
        case _:
            return str(value)


def _context(
    scope: Scope, headers: Mapping[str, str], route: Route, claims: Mapping[str, Any] | None, request_id: str
) -> dict[str, Any]:
    now = datetime.now(UTC)
    domain = headers["host"].partition(":")[0]
    context: dict[str, Any] = {
        "accountId": _ACCOUNT,
        "apiId": _API_ID,
        "domainName": domain,
        "domainPrefix": domain.partition(".")[0],
        "http": {
            "method": scope["method"],
            "path": scope["path"],
            "protocol": f"HTTP/{scope['http_version']}",
            "sourceIp": scope["client"][0],
            "userAgent": headers.get("user-agent", ""),
        },
        "requestId": request_id,
        "routeKey": route.key,
        "stage": "$default",
        "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "timeEpoch": int(now.timestamp() * 1000),
    }
    if claims is not None:
        context["authorizer"] = {"jwt": {"claims": claims_as_strings(claims), "scopes": None}}
    return context


def _headers(scope: Scope) -> dict[str, str]:
    pairs = ((name.decode("latin-1"), value.decode("utf-8", "replace")) for name, value in scope["headers"])
    forwarded = {
        "x-forwarded-for": scope["client"][0],
        "x-forwarded-port": str(scope["server"][1]),
        "x-forwarded-proto": scope["scheme"],
    }
    return _joined((name, value) for name, value in pairs if name not in _CONNECTION | _REPLACED) | forwarded


def _cookies(scope: Scope) -> list[str]:
    values = (value.decode("utf-8", "replace") for name, value in scope["headers"] if name == b"cookie")
    return [cookie for value in values for cookie in value.split("; ") if cookie]


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The values of one name are joined by a comma, as payload format 2.0 does it."""
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _body(body: bytes, content_type: str) -> tuple[str, bool]:
    if _TEXT_TYPE.match(content_type):
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass
    return b64encode(body).decode(), True


def _response_headers(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The function's headers and cookies. The length is left out: the gateway counts for itself."""
    headers, cookies = result.get("headers") or {}, result.get("cookies") or []
    if not isinstance(headers, dict) or not isinstance(cookies, list):
        raise InvalidResponse("headers")
    pairs = [(str(name).lower(), str(value)) for name, value in headers.items()]
    pairs += [("set-cookie", str(cookie)) for cookie in cookies]
    for name, value in pairs:
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise InvalidResponse("headers")
    return [(name, value) for name, value in pairs if name not in _CONNECTION | {"content-length"}]
