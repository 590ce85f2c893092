"""Plays a client of OpenAI's API: it sends requests to a tenant's models and reads the answers."""

import json
from collections.abc import Sequence
from typing import Any

import httpx

from tests.support.stack.tenant import Tenant

Message = dict[str, str]


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def assistant(text: str) -> Message:
    return {"role": "assistant", "content": text}


def address(tenant: Tenant, path: str) -> str:
    """The whole address of a path below /v1."""
    return f"{str(tenant.http.base_url).removesuffix('/api/v1/')}/v1/{path}"


def post(tenant: Tenant, body: Any, **headers: str) -> httpx.Response:
    return tenant.http.post(address(tenant, "chat/completions"), json=body, headers=headers)


def ask(tenant: Tenant, *messages: Message, model: str = "writer", **fields: Any) -> dict[str, Any]:
    """The completion that answers. `headers` are the request's."""
    headers = fields.pop("headers", {})
    answer = post(tenant, {"model": model, "messages": messages, **fields}, **headers)
    assert answer.status_code == 200, answer.text
    read: dict[str, Any] = answer.json()
    return read


def said(completion: dict[str, Any]) -> str:
    """The text of the answer."""
    text: str = completion["choices"][0]["message"]["content"]
    return text


def error_of(answer: httpx.Response) -> dict[str, Any]:
    read: dict[str, Any] = answer.json()["error"]
    return read


def stream(tenant: Tenant, *messages: Message, model: str = "writer", **fields: Any) -> list[dict[str, Any]]:
    """The chunks of a streamed answer, which ends with [DONE]."""
    answer = post(tenant, {"model": model, "messages": messages, "stream": True, **fields})
    assert answer.status_code == 200, answer.text
    lines = data_of(answer)
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def data_of(answer: httpx.Response) -> list[str]:
    """Return the data of each event of a stream."""
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["cache-control"] == "no-store"
    return [line.removeprefix("data: ") for line in answer.text.split("\n") if line.startswith("data: ")]


def streamed(chunks: Sequence[dict[str, Any]], channel: str = "content") -> str:
    """The text of a streamed answer."""
    return "".join(choice["delta"].get(channel, "") for chunk in chunks for choice in chunk["choices"])


def make_council(tenant: Tenant, key: str, mode: str, *agent_keys: str, fan_out: str = "sequential") -> None:
    tenant.make_council(key, *agent_keys, mode=mode, fan_out=fan_out)
