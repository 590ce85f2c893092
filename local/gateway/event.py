"""Translate HTTP to the event of a REST API (version 1) and back, like API Gateway without binary media types.

The path is percent-encoded, the query is decoded, and the body is text.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.responses import Response
from starlette.types import Message, Scope

from shared.names import API_STAGE, Route

API_ID: Final = "local"
ACCOUNT: Final = "000000000000"
_IPV6: Final = re.compile(r"\[[0-9A-Fa-f:.]+\]")
_HEADER_NAME: Final = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
# Headers of one connection, which are not forwarded.
_CONNECTION: Final = frozenset(("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"))
# A REST API renames these headers of a function's answer, because it sets them itself.
_RENAMED: Final = frozenset(("date", "proxy-authenticate", "server", "www-authenticate"))
_ANSWER: Final = frozenset(("statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"))
_PRELUDE: Final = frozenset(("statusCode", "headers", "multiValueHeaders", "cookies"))
# Members of `identity` for kinds of sign-in that the API does not use.
_NO_IDENTITY: Final = dict.fromkeys(
    (
        *("accessKey", "accountId", "caller", "cognitoAuthenticationProvider", "cognitoAuthenticationType"),
        *("cognitoIdentityId", "cognitoIdentityPoolId", "principalOrgId", "user", "userArn"),
    )
)


class InvalidResponse(Exception):
    """The function did not return a response of the Lambda proxy integration."""


def build_event(
    scope: Scope,
    body: bytes,
    route: Route,
    path_parameters: Mapping[str, str],
    authorizer: Mapping[str, Any] | None,
    request_id: str,
) -> dict[str, Any]:
    """Build the event of one request.

    Args:
        scope: The scope of ASGI.
        route: The route that `find` returned, with its parameters.
        authorizer: The `authorizer` object of the event. None on an open route.
    """
    headers = _headers(scope)
    query = _multi(parse_qsl(scope["query_string"].decode("utf-8", "replace"), keep_blank_values=True))
    return {
        "resource": route.path,
        "path": path_of(scope),
        "httpMethod": scope["method"],
        "headers": _last(headers),
        "multiValueHeaders": headers,
        "queryStringParameters": _last(query) or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": dict(path_parameters) or None,
        "stageVariables": None,
        "requestContext": _context(scope, _last(headers), route, authorizer, request_id),
        "body": body.decode("utf-8", "replace") if body else None,
        "isBase64Encoded": False,
    }


def build_response(result: Any) -> Response:
    """Return the HTTP response for a function's result. Raises InvalidResponse."""
    status, headers = _head(result, _ANSWER)
    body = result.get("body") or ""
    # Without binary media types, API Gateway sends base64 text undecoded.
    if not isinstance(body, str) or result.get("isBase64Encoded"):
        raise InvalidResponse("body")
    try:
        content = body.encode()
    except UnicodeEncodeError as error:
        raise InvalidResponse("body") from error
    response = Response(content if has_body(status) else b"", status)
    response.raw_headers.extend(headers)
    return response


def build_start(prelude: Any) -> Message:
    """Return the ASGI message that starts a streamed response. Raises InvalidResponse."""
    status, headers = _head(prelude, _PRELUDE)
    return {"type": "http.response.start", "status": status, "headers": headers}


def has_body(status: int) -> bool:
    return status not in (204, 304)


def path_of(scope: Scope) -> str:
    """Return the path as the client sent it."""
    raw: bytes = scope["raw_path"]
    return raw.decode("ascii", "replace")


def _context(
    scope: Scope, headers: Mapping[str, str], route: Route, authorizer: Mapping[str, Any] | None, request_id: str
) -> dict[str, Any]:
    now = datetime.now(UTC)
    domain = headers["host"].partition(":")[0]
    return {
        "accountId": ACCOUNT,
        "apiId": API_ID,
        **({} if authorizer is None else {"authorizer": dict(authorizer)}),
        "deploymentId": API_ID,
        "domainName": domain,
        "domainPrefix": domain.partition(".")[0],
        "extendedRequestId": request_id,
        "httpMethod": scope["method"],
        "identity": {
            **_NO_IDENTITY,
            "sourceIp": scope["client"][0],
            "userAgent": headers.get("user-agent"),
        },
        "path": path_of(scope),
        "protocol": f"HTTP/{scope['http_version']}",
        "requestId": request_id,
        "requestTime": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "requestTimeEpoch": int(now.timestamp() * 1000),
        "resourceId": API_ID,
        "resourcePath": route.path,
        "stage": API_STAGE,
    }


def _headers(scope: Scope) -> dict[str, list[str]]:
    pairs = ((name.decode("latin-1"), value.decode("utf-8", "replace")) for name, value in scope["headers"])
    # API Gateway has a host name, and functions cannot parse an address.
    pairs = ((name, _IPV6.sub("localhost", value) if name == "host" else value) for name, value in pairs)
    # Values from the client are not trusted.
    forwarded = {
        "x-forwarded-for": [scope["client"][0]],
        "x-forwarded-port": [str(scope["server"][1])],
        "x-forwarded-proto": [scope["scheme"]],
    }
    return _multi((name, value) for name, value in pairs if name not in _CONNECTION) | forwarded


def _multi(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values


def _last(values: Mapping[str, list[str]]) -> dict[str, str]:
    """Return the last value of each name, as API Gateway does."""
    return {name: several[-1] for name, several in values.items()}


def _head(told: Any, members: frozenset[str]) -> tuple[int, list[tuple[bytes, bytes]]]:
    """Return the status and headers of an answer. Raises InvalidResponse, also for members not in `members`."""
    if not isinstance(told, dict) or not told.keys() <= members:
        raise InvalidResponse("not an object of the known members")
    status = told.get("statusCode")
    if not isinstance(status, int) or not 200 <= status <= 599:
        raise InvalidResponse("statusCode")
    return status, [(name.encode(), value.encode("latin-1")) for name, value in _response_headers(told)]


def _response_headers(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Merge the headers, the multi-value headers and the cookies. The gateway sets Content-Length itself."""
    single, multi = result.get("headers") or {}, result.get("multiValueHeaders") or {}
    if not isinstance(single, dict) or not isinstance(multi, dict):
        raise InvalidResponse("headers")
    cookies = result.get("cookies") or []
    if not isinstance(cookies, list):
        raise InvalidResponse("cookies")
    if not all(isinstance(values, list) for values in multi.values()):
        raise InvalidResponse("multiValueHeaders")
    pairs = [(name.lower(), value) for name, values in multi.items() for value in values]
    pairs += [pair for name, value in single.items() if (pair := (name.lower(), value)) not in pairs]
    pairs += [("set-cookie", cookie) for cookie in cookies]
    for name, value in pairs:
        if not _HEADER_NAME.fullmatch(name) or not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
            raise InvalidResponse("headers")
    kept = ((name, value) for name, value in pairs if name not in _CONNECTION | {"content-length"})
    return [(f"x-amzn-remapped-{name}" if name in _RENAMED else name, value) for name, value in kept]
