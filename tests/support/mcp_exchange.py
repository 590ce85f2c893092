"""Calls the turns function as an MCP server, with scripted turns."""

import json
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from functions.stream import Stream
from local.gateway.worker import LambdaContext
from shared.domain.outcome import TurnOutcome
from shared.domain.turn_events import Delta, Event, Listener
from shared.turns.question import Question
from shared.turns.run import Runner
from tests.support.gateway import Handler, request

BOTH = "application/json, text/event-stream"
TURN_ID, SESSION_ID = UUID(int=7), UUID(int=9)
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
Take = Callable[[Runner, Question, Listener], TurnOutcome]


def message(method: str, params: object = None, id_: object = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id_, "method": method} | ({} if params is None else {"params": params})


def asking(token: object = None, **arguments: object) -> dict[str, Any]:
    """A call of ask_council."""
    given = {"council_or_agent": "writer", "message": "hello"} | arguments
    meta = {} if token is None else {"_meta": {"progressToken": token}}
    return message("tools/call", {"name": "ask_council", "arguments": given, **meta})


def stateless(sent: Mapping[str, Any], **changes: str | None) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the request of version 2026-07-28 with its headers; None removes a header."""
    params = dict(sent.get("params", {}))
    headers = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": sent["method"]}
    if "name" in params:
        headers["Mcp-Name"] = params["name"]
    params["_meta"] = {**params.get("_meta", {}), **ENVELOPE}
    wanted = headers | {name.replace("_", "-"): value for name, value in changes.items()}
    return {**sent, "params": params}, {name: value for name, value in wanted.items() if value is not None}


def post(turns: Handler, context: LambdaContext, body: object, **headers: str) -> Any:
    given = {"Accept": BOTH} | {name.replace("_", "-"): value for name, value in headers.items()}
    return turns(request("POST", "/mcp", body, headers=given), context)


def told(answer: Any) -> Any:
    """The JSON of a buffered answer, or the messages of a stream, in which a comment is None."""
    if not isinstance(answer, Stream):
        assert answer["headers"]["content-type"] == "application/json"
        return json.loads(answer["body"])
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")
    return [_message(block) for block in b"".join(answer.body).decode().split("\n\n")[:-1]]


def _message(block: str) -> Any:
    if block == ":":
        return None
    event, data = block.split("\n")
    assert event == "event: message"
    return json.loads(data.removeprefix("data: "))


def stored(status: str = "completed", text: str = "Hi.", error: object = None) -> str:
    """A turn of one agent as it is stored."""
    reply = {"name": "Writer", "status": status, "text": text, "position": 0, "stop_reason": "end_turn", "error": error}
    shown = {
        "id": str(TURN_ID),
        "session_id": str(SESSION_ID),
        "status": status,
        "mode": "tag",
        "error": error,
        "plan": {"selected_agent_keys": ["writer"]},
        "replies": [reply],
        "reviews": None,
        "output": text if status == "completed" else "",
        "cost_usd": "0.10",
    }
    return json.dumps(shown, ensure_ascii=False)


def playing(*events: Event | Delta, body: str | None = None, status: Any = "completed") -> Take:
    """A turn that tells these events, and ends."""
    outcome = TurnOutcome(TURN_ID, status, body or stored(status))

    def take(_: Runner, __: Question, listener: Listener) -> TurnOutcome:
        for event in events:
            listener(event)
        return outcome

    return take


def refusing(error: Exception) -> Take:
    def take(_: Runner, __: Question, ___: Listener) -> TurnOutcome:
        raise error

    return take
