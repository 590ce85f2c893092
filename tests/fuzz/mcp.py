"""Messages of the Model Context Protocol: each is read, needs no answer, or is refused with an error of JSON-RPC.

An input is the body.
"""

import json
from collections.abc import Sequence
from typing import Any

from functions.http import Caller
from functions.turns.mcp_ask import read_question
from functions.turns.mcp_messages import Call, RpcError, error_message, read_batch, read_call, read_json, written
from functions.turns.mcp_versions import check_envelope
from shared.errors import InvalidMessage, InvalidRequest, NotFound

WORDS = (
    *('{"jsonrpc": "2.0", "id": 1, "method": ', '"tools/call"', '"params": {', '"name": "ask_council"', '"id": null'),
    *('"arguments": {"council_or_agent": "writer", "message": "hello"}', '"session_id": ""', '"idempotency_key": "k"'),
    *('"_meta": {"progressToken": 1}', '"method": 7', '"result": {}', '"error": {}', "NaN", "1e400", "\\ud83d"),
    *("[", "]", "{", "}", ",", "null", "true"),
)
_CALLER = Caller("user-1", "tenant-1", None, ("member",))


def attempt(data: bytes) -> None:
    for call in _read(data):
        if isinstance(call, RpcError):
            _check_refusal(call, None)
        elif call is not None:
            _check_call(call)


def _read(data: bytes) -> Sequence[Call | RpcError | None]:
    try:
        sent = read_json(data)
        return read_batch(sent) if isinstance(sent, list) else [read_call(sent)]
    except RpcError as error:
        return [error]


def _check_call(call: Call) -> None:
    assert isinstance(call.id, str | int)
    assert not isinstance(call.id, bool)
    assert isinstance(call.method, str)
    try:
        arguments = call.parameters().get("arguments")
        check_envelope(call, {})
    except RpcError as error:
        _check_refusal(error, call.id)
        arguments = call.params.get("arguments") if isinstance(call.params, dict) else None
    if isinstance(arguments, dict):
        _check_question(arguments)


def _check_question(arguments: dict[str, Any]) -> None:
    try:
        question = read_question(arguments, _CALLER)
    except (InvalidMessage, InvalidRequest, NotFound):
        return
    assert question.message.strip()
    assert 0 < len(question.idempotency_key) <= 255
    assert question.has_own_key == bool(arguments.get("idempotency_key"))
    assert len(question.hash()) == 32


def _check_refusal(error: RpcError, id_: str | int | None) -> None:
    """It is one line of JSON."""
    line = written(error_message(error, id_))
    told = json.loads(line)
    assert b"\n" not in line
    assert told["error"].keys() >= {"code", "message"}
    assert told["error"]["code"] < 0
