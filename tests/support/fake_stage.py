"""Plays a stage in memory for commands over HTTP: it keeps versions, and fails when a test says so."""

import json
from collections.abc import Callable
from typing import Any

import httpx

from local.deployment import Deployment

URL = "https://stage.example/live"
_PREFIX = "/live/api/v1/"
Answer = httpx.Response | None
# The event of a request: an answer instead of the stage's, an exception, or nothing.
Event = Callable[[httpx.Request], Answer]


class FakeStage:
    """`entries` are the agents and councils by path, such as `agents/writer`. `log` has a line for each request that
    asks for a change. By the number of such a request, `events` happen before the stage does what it asks, and `after`
    happen when it was done."""

    def __init__(self, **entries: dict[str, Any]) -> None:
        self.entries = {path.replace("__", "/"): {"version": 1, **fields} for path, fields in entries.items()}
        self.log: list[str] = []
        self.events: dict[int, Event] = {}
        self.after: dict[int, Event] = {}
        self.is_silent = False

    def deployment(self) -> Deployment:
        client = httpx.Client(base_url=f"{URL}/api/v1/", transport=httpx.MockTransport(self._answer))
        return Deployment(URL, client)

    def fields(self, path: str) -> dict[str, Any]:
        return {name: value for name, value in self.entries[path].items() if name not in ("key", "version")}

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if self.is_silent:
            raise httpx.ConnectError("nobody listens")
        path = request.url.path.removeprefix(_PREFIX)
        if request.method == "GET":
            assert not (path == "models" and request.url.query), "a stage refuses this"
            return self._read(path)
        number = len(self.log)
        self.log.append(f"{request.method} {path} {request.headers.get('If-Match', '')}".rstrip())
        if (event := self.events.get(number)) and (answer := event(request)):
            return answer
        answer = self._write(request, path)
        event = self.after.get(number)
        return (event and event(request)) or answer

    def _read(self, path: str) -> httpx.Response:
        if path == "models":
            return _items([{"alias": "fast", "max_output_tokens": 4096}])
        if path in self.entries:
            return httpx.Response(200, json={"key": path.split("/")[1], **self.entries[path]})
        if path in ("agents", "councils"):
            named = {name: entry for name, entry in self.entries.items() if name.startswith(path)}
            return _items([{"key": name.split("/")[1], **entry} for name, entry in named.items()])
        return problem(404, "not_found", "There is nothing at this address.")

    def _write(self, request: httpx.Request, path: str) -> httpx.Response:
        if request.method == "DELETE":
            del self.entries[path]
            return httpx.Response(204)
        body = json.loads(request.content)
        path = f"{path}/{body['key']}" if request.method == "POST" else path
        old = self.entries.get(path)
        if request.method == "POST" and old is not None:
            return problem(409, "agent_exists", "It exists already.")
        if "If-Match" in request.headers and (old is None or request.headers["If-Match"] != f'"{old["version"]}"'):
            return problem(412, "version_mismatch", "It is at another version.")
        self.entries[path] = {**body, "version": 1 if old is None else old["version"] + 1}
        return httpx.Response(200, json={"key": path.split("/")[1], **self.entries[path]})


def problem(status: int, code: str, detail: str) -> httpx.Response:
    return httpx.Response(status, json={"status": status, "code": code, "detail": detail})


def _items(items: list[dict[str, Any]]) -> httpx.Response:
    return httpx.Response(200, json={"items": items, "next_cursor": None})
