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

# So many messages may come in one batch.
MAX_BATCH: Final = 20

Message = Mapping[str, Any]
MessageId = str | int


class RpcError(Exception):
    """A request that is answered with an error of JSON-RPC."""

    def __init__(self, code: int, message: str, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data


@dataclass(frozen=True, slots=True)
class Call:
    """A request that is owed an answer. `params` are an object, or what the client sent in its place."""

    id: MessageId
    method: str
    params: object

    def parameters(self) -> Mapping[str, Any]:
        """Raises RpcError."""
        if not isinstance(self.params, Mapping):
            raise RpcError(INVALID_PARAMS, "params must be an object.")
        return self.params


def read_json(raw: bytes) -> object:
    """The JSON of a body. Raises RpcError."""
    try:
        return json.loads(raw, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise RpcError(PARSE_ERROR, "The body is not JSON.") from error


def read_call(value: object) -> Call | None:
    """A message of a client. None: it is a notification or a response, which has no answer. Raises RpcError."""
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
    """The messages of a batch. Raises RpcError if the batch as a whole is refused."""
    if not values:
        raise RpcError(INVALID_REQUEST, "A batch must have a message.")
    if len(values) > MAX_BATCH:
        raise RpcError(INVALID_REQUEST, f"A batch has at most {MAX_BATCH} messages.")
    return [_read_one(value) for value in values]


def result_message(call: Call, result: Message) -> Message:
    return {"jsonrpc": "2.0", "id": call.id, "result": result}


def error_message(error: RpcError, id_: MessageId | None = None) -> Message:
    """`id_` is None where the message was none that has an id."""
    data = {} if error.data is None else {"data": error.data}
    return {"jsonrpc": "2.0", "id": id_, "error": {"code": error.code, "message": error.message, **data}}


def written(message: object) -> bytes:
    """JSON on one line, in ASCII: some clients take a separator of lines within a text for the end of a line."""
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
