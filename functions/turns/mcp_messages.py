"""Read and write messages of the Model Context Protocol (MCP): JSON-RPC 2.0."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, NoReturn

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
HEADER_MISMATCH: Final = -32020
UNSUPPORTED_VERSION: Final = -32022

# The most messages of one batch.
MAX_BATCH: Final = 20

Message = Mapping[str, Any]
MessageId = str | int


class RpcError(Exception):
    """An error of JSON-RPC that answers a request."""

    def __init__(self, code: int, message: str, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data


@dataclass(frozen=True, slots=True)
class Call:
    """A request that needs an answer. `params` is unchecked: an object, or any other value of the client."""

    id: MessageId
    method: str
    params: object

    def parameters(self) -> Mapping[str, Any]:
        """Return `params` as an object. Raises RpcError."""
        if not isinstance(self.params, Mapping):
            raise RpcError(INVALID_PARAMS, "params must be an object.")
        return self.params


def read_json(raw: bytes) -> object:
    """Return the JSON of a body. Raises RpcError."""
    try:
        return json.loads(raw, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise RpcError(PARSE_ERROR, "The body is not JSON.") from error


def read_call(value: object) -> Call | None:
    """Read a message. Return None for a notification or a response, which needs no answer. Raises RpcError."""
    if not isinstance(value, Mapping) or value.get("jsonrpc") != "2.0":
        raise RpcError(INVALID_REQUEST, "A message must be an object with jsonrpc '2.0'.")
    if "method" not in value:
        if "id" in value and ("result" in value or "error" in value):
            return None
        raise RpcError(INVALID_REQUEST, "A message must have a method.")
    if not isinstance(value["method"], str):
        raise RpcError(INVALID_REQUEST, "method must be a string.")
    if "id" not in value:
        return None
    id_ = value["id"]
    if isinstance(id_, bool) or not isinstance(id_, MessageId):
        raise RpcError(INVALID_REQUEST, "id must be a string or an integer.")
    return Call(id_, value["method"], value.get("params", MappingProxyType({})))


def read_batch(values: Sequence[object]) -> list[Call | RpcError | None]:
    """Read the messages of a batch. Raises RpcError if the whole batch is refused."""
    if not values:
        raise RpcError(INVALID_REQUEST, "A batch must have a message.")
    if len(values) > MAX_BATCH:
        raise RpcError(INVALID_REQUEST, f"A batch has at most {MAX_BATCH} messages.")
    return [_read_one(value) for value in values]


def result_message(call: Call, result: Message) -> Message:
    return {"jsonrpc": "2.0", "id": call.id, "result": result}


def error_message(error: RpcError, id_: MessageId | None = None) -> Message:
    """Return the message of an error. `id_` is None if the request had no readable id."""
    data = {} if error.data is None else {"data": error.data}
    return {"jsonrpc": "2.0", "id": id_, "error": {"code": error.code, "message": error.message, **data}}


def written(message: object) -> bytes:
    """Return JSON on one line, in ASCII, because some clients end a line at a Unicode line separator."""
    return json.dumps(message, separators=(",", ":")).encode()


def _read_one(value: object) -> Call | RpcError | None:
    try:
        call = read_call(value)
    except RpcError as error:
        return error
    if call is not None and call.method == "initialize":
        return RpcError(INVALID_REQUEST, "initialize cannot be part of a batch.")
    return call


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON.")
