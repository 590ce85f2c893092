"""The supported versions of MCP, and the checks of a request's version.

Until 2025-11-25, `initialize` agrees on a version, and the header MCP-Protocol-Version of later requests names it. From
2026-07-28 on there is no `initialize`, and each request names its version in a header and in `_meta`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from functions.turns.mcp_messages import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    UNSUPPORTED_VERSION,
    Call,
    Message,
    RpcError,
)
from shared.names import SERVICE, VERSION

INITIALIZED_VERSIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
NEWEST_INITIALIZED: Final = INITIALIZED_VERSIONS[-1]
STATELESS_VERSION: Final = "2026-07-28"
SERVER: Final[Message] = MappingProxyType({"name": SERVICE, "title": "Pantheon", "version": VERSION})
# By the specification, a request without the header has this version.
_ASSUMED: Final = "2025-03-26"
_BATCHED: Final = ("2024-11-05", "2025-03-26")
_VERSION_HEADER: Final = "mcp-protocol-version"
_VERSION: Final = "io.modelcontextprotocol/protocolVersion"
_CAPABILITIES: Final = "io.modelcontextprotocol/clientCapabilities"
_SERVER_INFO: Final = "io.modelcontextprotocol/serverInfo"
_STATUSES: Final[Mapping[int, int]] = MappingProxyType(
    {
        PARSE_ERROR: 400,
        INVALID_REQUEST: 400,
        INVALID_PARAMS: 400,
        HEADER_MISMATCH: 400,
        UNSUPPORTED_VERSION: 400,
        METHOD_NOT_FOUND: 404,
    }
)


def version_of(headers: Mapping[str, str]) -> str:
    """Return the version in a request's header. Raises RpcError for an unsupported one."""
    version = headers.get(_VERSION_HEADER, _ASSUMED)
    if version not in (*INITIALIZED_VERSIONS, STATELESS_VERSION):
        told = {"supported": [*INITIALIZED_VERSIONS, STATELESS_VERSION], "requested": version}
        raise RpcError(UNSUPPORTED_VERSION, "This version of MCP is not supported.", told)
    return version


def is_stateless(version: str) -> bool:
    return version == STATELESS_VERSION


def takes_batches(version: str) -> bool:
    return version in _BATCHED


def check_envelope(call: Call, headers: Mapping[str, str]) -> None:
    """Check `_meta` and the headers of a request of the stateless version. Raises RpcError."""
    parameters = call.parameters()
    meta = parameters.get("_meta")
    if not isinstance(meta, Mapping) or not {_VERSION, _CAPABILITIES} <= meta.keys():
        raise RpcError(INVALID_PARAMS, f"params._meta must have {_VERSION} and {_CAPABILITIES}.")
    expected = {_VERSION_HEADER: meta[_VERSION], "mcp-method": call.method}
    if call.method == "tools/call" and isinstance(parameters.get("name"), str):
        expected["mcp-name"] = parameters["name"]
    for name, value in expected.items():
        if headers.get(name) != value:
            raise RpcError(HEADER_MISMATCH, f"The header {name} does not say what the body says.")


def in_envelope(result: Message) -> dict[str, Any]:
    """Return a result in the form of the stateless version."""
    meta = {_SERVER_INFO: dict(SERVER), **result.get("_meta", {})}
    return {**result, "resultType": "complete", "_meta": meta}


def status_of(version: str, message: Message) -> int:
    """Return the HTTP status of an answer. Until 2025-11-25, an error of JSON-RPC is 200."""
    if not is_stateless(version) or "error" not in message:
        return 200
    return _STATUSES.get(message["error"]["code"], 200)
