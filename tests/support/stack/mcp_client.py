"""Plays a client of MCP: it posts to a tenant's `/mcp` and reads the messages."""

import json
from typing import Any

import httpx

from tests.support.stack.tenant import Tenant

BOTH = "application/json, text/event-stream"


def address(tenant: Tenant) -> str:
    return f"{str(tenant.http.base_url).removesuffix('/api/v1/')}/mcp"


def post(tenant: Tenant, body: object, **headers: str) -> httpx.Response:
    return tenant.http.post(address(tenant), json=body, headers={"Accept": BOTH} | headers)


def message(method: str, id_: int = 1, **params: object) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id_, "method": method, "params": params}


def asking(token: object = None, id_: int = 1, **arguments: Any) -> dict[str, Any]:
    """A call of ask_council."""
    given = {"council_or_agent": "writer", "message": "hello"} | arguments
    meta = {} if token is None else {"_meta": {"progressToken": token}}
    return message("tools/call", id_, name="ask_council", arguments=given, **meta)


def ask(tenant: Tenant, **arguments: Any) -> dict[str, Any]:
    """The result of a question."""
    result: dict[str, Any] = messages(post(tenant, asking(**arguments)))[-1]["result"]
    return result


def said(result: dict[str, Any]) -> str:
    (content,) = result["content"]
    assert content["type"] == "text"
    return str(content["text"])


def messages(answer: httpx.Response) -> list[dict[str, Any]]:
    """The messages of an answer, comments left out."""
    assert answer.status_code == 200, answer.text
    if answer.headers["content-type"] == "application/json":
        read = answer.json()
        return read if isinstance(read, list) else [read]
    assert answer.headers["content-type"] == "text/event-stream"
    return [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n") if line.startswith("data: ")]
