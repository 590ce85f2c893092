"""API Gateway's events into every HTTP function: each is answered, and what is refused says why.

An input is a request as it is on the wire: a line of method and address, headers, an empty line, the body. `{tenant}`,
`{session}`, `{turn}` and `{waiting}` are ids that exist. `{cursor …}` is the cursor that a list makes of the JSON in
it. A header `x-caller-user: …` is the caller in the authorizer's context; roles are words.
"""

import base64
import json
import re
from typing import Any
from urllib.parse import quote, unquote

from starlette.types import Scope

from functions.problems import PROBLEM_JSON
from local.gateway.event import build_event, build_response
from local.gateway.routes import find
from shared.domain.identifier import is_identifier
from shared.names import API_PREFIX
from tests.fuzz.stage import invoke, stage

WORDS = (
    *("GET ", "POST ", "PUT ", "PATCH ", "DELETE ", f"{API_PREFIX}/", "sessions/{session}", "turns/{turn}", "agents/"),
    *(
        "/turns",
        "/audit",
        "/calls",
        "/cancel",
        "/summaries",
        "/archive",
        "/export",
        "?limit=",
        "&cursor=",
        "{cursor 1}",
        "&order=asc",
    ),
    *("?format=markdown", "usage", "/calls", "?group_by=day,account", "&from=2026-01-01", "budget", "admin/usage"),
    *("admin/turns?state=waiting", "admin/suspense"),
    *("?wait=0", "&after=1", "%00", "%FF", "\nidempotency-key: k", "\nprefer: respond-async", "\naccept: text/csv"),
    *("\nx-caller-roles: operator", "\nx-caller-tenant: {tenant}", '{"message": "', '"agent_keys": ["writer"]'),
    *('"mode": "orchestrator"', '"fan_out": "parallel"', '"limit_usd": "1.5"', '"key": "editor"', "\\u0000", "\\ud83d"),
    *('"role_prompt": "You edit."', '"model_alias": "fast"', "null", "@writer", "1e400", "[", "{", "\n\n"),
)
# The lists that give out cursors, by an input's first line.
LISTS = (
    *("agents?", "agents?order=asc&", "sessions?", "sessions/{session}/turns?", "sessions/{session}/summaries?"),
    *("sessions/{session}/export?", "usage?group_by=day,account&", "usage?group_by=session_id&", "usage/calls?"),
    *("usage/calls?order=asc&", "admin/usage?group_by=tenant,day&", "sessions/{session}/archive?"),
)
_SAFE = "%&=+,:;/?@!$'()*[]-._~"
_CURSOR = re.compile(r"\{cursor (.*?)\}", re.DOTALL)
_PROBLEM = {"type", "title", "status", "code", "detail", "request_id"}


def attempt(data: bytes) -> None:
    head, _, body = data.partition(b"\n\n")
    first, *lines = stage().named(head.decode("utf-8", "replace")).split("\n")
    method, _, address = first.partition(" ")
    pairs = [(name.strip().lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    headers = {name: value for name, value in pairs if name and name.isascii()}
    said = {name.removeprefix("x-caller-"): headers.pop(name) for name in [*headers] if name.startswith("x-caller-")}
    made = _event(method or "GET", address, headers, said, _body(body))
    if made is None:
        return
    event, function = made
    answer = invoke(function, event)
    check(answer)
    if (method not in ("GET", "POST") and answer["statusCode"] < 300) or function == "admin":
        stage.cache_clear()


def attempt_cursor(data: bytes) -> None:
    """An input is the number of a list, and what its cursor says."""
    place, said = data[:1], data[1:]
    asked = LISTS[ord(place or b"\0") % len(LISTS)]
    encoded = base64.urlsafe_b64encode(said)
    request = f"GET {API_PREFIX}/{asked}cursor=".encode() + encoded + b"\nx-caller-roles: operator"
    attempt(request)


def _event(
    method: str, address: str, headers: dict[str, str], said: dict[str, str], body: bytes
) -> tuple[dict[str, Any], str] | None:
    """Return the gateway's event of such a request and its function, or None when the gateway answers itself."""
    path, _, query = address.partition("?")
    query = _CURSOR.sub(lambda said: base64.urlsafe_b64encode(said[1].encode()).decode(), query)
    sent = quote(path if path.startswith("/") else f"{API_PREFIX}/{path}", safe=_SAFE)
    scope: Scope = {
        "method": method,
        "path": unquote(sent),
        "raw_path": sent.encode(),
        "query_string": quote(query, safe=_SAFE).encode(),
        "headers": [
            (name.encode(), value.encode())
            for name, value in ({"host": "localhost", "content-type": "application/json"} | headers).items()
        ],
        "http_version": "1.1",
        "scheme": "https",
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 443),
    }
    found = find(method, sent)
    if found is None:
        return None
    route, parameters = found
    known = {"user": "user-1", "tenant": stage().tenant, "roles": "admin member", "key_id": "", "email": ""}
    # The authorizer lets no other names through.
    caller = known | {name: value for name, value in said.items() if is_identifier(value)}
    caller["roles"] = json.dumps(caller["roles"].split())
    event = build_event(scope, body, route, parameters, None if route.is_open else caller, "request-1")
    return event, route.function


def _body(body: bytes) -> bytes:
    try:
        return stage().named(body.decode()).encode()
    except UnicodeDecodeError:
        return body


def check(answer: dict[str, Any]) -> None:
    """A response of the Lambda proxy integration that is no failure; a refusal is a problem document with a code."""
    response = build_response(answer)
    kind, length = answer["headers"].get("content-type", ""), len(response.body)
    assert 200 <= response.status_code < 500, answer
    assert length < 6 * 1024 * 1024
    if response.status_code >= 400:
        assert kind == PROBLEM_JSON, answer
        problem = json.loads(bytes(response.body))
        assert problem.keys() >= _PROBLEM
        assert problem["status"] == response.status_code
        assert re.fullmatch("[a-z_]+", problem["code"])
    elif kind == "application/json" and response.status_code != 204:
        json.loads(bytes(response.body))
