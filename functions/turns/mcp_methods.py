"""The methods of MCP. Each request gets one answer; a slow one gets notifications before it."""

import json
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from starlette.types import Scope

from functions.http import Caller
from functions.problems import problem_of
from functions.turns.live import LiveTurn
from functions.turns.mcp_ask import read_question
from functions.turns.mcp_messages import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    Call,
    Message,
    RpcError,
    error_message,
    result_message,
)
from functions.turns.mcp_progress import ProgressToken, follow
from functions.turns.mcp_results import refusal, text_result, turn_result
from functions.turns.mcp_tools import ASK, INSTRUCTIONS, LIST, TOOLS
from functions.turns.mcp_versions import (
    INITIALIZED_VERSIONS,
    NEWEST_INITIALIZED,
    SERVER,
    STATELESS_VERSION,
    check_envelope,
    in_envelope,
    is_stateless,
)
from functions.turns.running import conclude
from shared.db.api.new_tenants import add_roster
from shared.db.chat import load_models
from shared.errors import PantheonError
from shared.turns.question import take_question
from shared.turns.run import Runner

# Yields notifications and comments, and returns a result.
Answering = Generator[Message | None, None, Message]

_CAPABILITIES: Final = {"tools": {"listChanged": False}}
# The tools change with a release only. They are the same for every caller.
_CACHED: Final = {"ttlMs": 300_000, "cacheScope": "public"}


@dataclass(frozen=True, slots=True)
class Exchange:
    """One HTTP request. `headers` have lower-case names. With `tells`, the client gets notifications."""

    scope: Scope
    caller: Caller
    runner: Runner
    version: str
    headers: Mapping[str, str]
    tells: bool

    def answer(self, call: Call) -> Iterator[Message | None]:
        """Yield the messages that answer a request, its own answer last. None is a comment."""
        try:
            if is_stateless(self.version):
                check_envelope(call, self.headers)
            result = yield from self._result(call)
        except RpcError as error:
            yield error_message(error, call.id)
        else:
            yield result_message(call, in_envelope(result) if is_stateless(self.version) else result)

    def _result(self, call: Call) -> Answering:
        """Yield notifications and return the result. Raises RpcError."""
        if call.method == "tools/call":
            return (yield from self._call_tool(call.parameters()))
        methods = _STATELESS if is_stateless(self.version) else _INITIALIZED
        if call.method not in methods:
            raise RpcError(METHOD_NOT_FOUND, "There is no such method.")
        return methods[call.method](call.parameters())

    def _call_tool(self, parameters: Mapping[str, Any]) -> Answering:
        name, arguments = parameters.get("name"), parameters.get("arguments")
        if name not in (ASK, LIST):
            raise RpcError(INVALID_PARAMS, "There is no such tool.")
        if arguments is not None and not isinstance(arguments, Mapping):
            raise RpcError(INVALID_PARAMS, "arguments must be an object.")
        try:
            if name == LIST:
                return self._list()
            return (yield from self._ask(arguments or {}, _token(parameters)))
        except RpcError:
            raise
        except Exception as error:  # noqa: BLE001 the client gets every error, and its text only from a PantheonError
            return self._refused(error)

    def _list(self) -> Message:
        db, tenant_id = self.runner.db, self.caller.tenant_id
        rows = load_models(db, tenant_id)
        if not rows and add_roster(db, tenant_id):
            rows = load_models(db, tenant_id)
        councils = [{name: row[name] for name in ("key", "name", "kind", "mode")} for row in rows]
        lines = [f"{each['key']}: {each['name']} ({each['kind']})" for each in councils]
        return text_result("\n".join(lines) or "There is no agent and no council.", {"councils": councils})

    def _ask(self, arguments: Mapping[str, Any], token: ProgressToken | None) -> Answering:
        question = read_question(arguments, self.caller)
        turn = LiveTurn(partial(take_question, self.runner, question), partial(conclude, self.caller.tenant_id))
        try:
            yield from follow(turn, token if self.tells else None)
        finally:
            turn.join()
        if turn.outcome is not None:
            # The turn is stored, so the client gets no later error. It is only logged and counted.
            if turn.error is not None:
                problem_of(self.scope, turn.error)
            return turn_result(turn.outcome, question.idempotency_key)
        raise turn.error or AssertionError("The turn has no outcome.")

    def _refused(self, error: Exception) -> Message:
        """Log and count the error, and return it as a result. Raises RpcError for one that is no PantheonError."""
        problem = json.loads(problem_of(self.scope, error))
        if not isinstance(error, PantheonError):
            raise RpcError(INTERNAL_ERROR, problem["detail"], {"request_id": problem["request_id"]}) from error
        return refusal(problem, error)


def _initialize(parameters: Mapping[str, Any]) -> Message:
    asked = parameters.get("protocolVersion")
    if not isinstance(asked, str):
        raise RpcError(INVALID_PARAMS, "protocolVersion must be a string.")
    return {
        "protocolVersion": asked if asked in INITIALIZED_VERSIONS else NEWEST_INITIALIZED,
        "capabilities": _CAPABILITIES,
        "serverInfo": dict(SERVER),
        "instructions": INSTRUCTIONS,
    }


def _discover(_: Mapping[str, Any]) -> Message:
    versions = [*INITIALIZED_VERSIONS, STATELESS_VERSION]
    return {"supportedVersions": versions, "capabilities": _CAPABILITIES, "instructions": INSTRUCTIONS, **_CACHED}


def _ping(_: Mapping[str, Any]) -> Message:
    return {}


def _list_tools(parameters: Mapping[str, Any]) -> Message:
    if parameters.get("cursor") is not None:
        raise RpcError(INVALID_PARAMS, "There is no such cursor: the list has one page.")
    return {"tools": TOOLS}


def _list_cached_tools(parameters: Mapping[str, Any]) -> Message:
    return {**_list_tools(parameters), **_CACHED}


def _token(parameters: Mapping[str, Any]) -> ProgressToken | None:
    meta = parameters.get("_meta")
    token = meta.get("progressToken") if isinstance(meta, Mapping) else None
    return token if isinstance(token, ProgressToken) and not isinstance(token, bool) else None


_Method = Callable[[Mapping[str, Any]], Message]
_INITIALIZED: Final[Mapping[str, _Method]] = {"initialize": _initialize, "ping": _ping, "tools/list": _list_tools}
_STATELESS: Final[Mapping[str, _Method]] = {"server/discover": _discover, "tools/list": _list_cached_tools}
