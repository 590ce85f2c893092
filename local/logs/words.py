"""Explain the logs of functions in plain words.

Functions log codes and types, because the text of an error may hold data.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from local.safe_text import visible
from shared.domain.problem import problem

_CALL: Final = re.compile(r"Call ([0-9a-f-]{36}) is (\w+): (\w+) \((.*)\)")
_CODES: Final[Mapping[str, str]] = {
    "database_unavailable": "the database did not answer. The client got status 503 and may try again",
    "journal_unavailable": "the database did not store a model call, so the call was not sent. The client got status "
    "503 and may try again",
    "publish_failed": "the database did not store the end of a turn. The worker tries again, and no call is repeated",
    "misconfigured": "a setting is wrong or missing",
}
_MESSAGES: Final[Mapping[str, str]] = {
    "turn not resumed": "the worker could not continue a turn. It is delivered again",
    "caller not identified": "the authorizer could not check a token",
    "turn not sent": "a turn could not be handed over. The sweeper does it later",
    "turns not sent": "turns could not be handed over. The sweeper does it later",
    "invariant broken": "stored data breaks an invariant: run `pantheon doctor`",
}
_FATES: Final[Mapping[str, str]] = {
    "timed_out": "a request took too long, and its process was ended",
    "died": "a process died during a request. A turn that it ran goes on in the worker",
}


def explain(line: Mapping[str, Any]) -> str:
    """Return a line of a function's log as a sentence without its full stop."""
    if line.get("type") == "platform.report":
        return _FATES.get(line["record"]["status"], str(line["record"]["status"]))
    message = str(line.get("message", ""))
    if found := _CALL.fullmatch(message):
        return _explain_call(found, line)
    known = _CODES.get(str(line.get("code", ""))) or _MESSAGES.get(message)
    told = known or ("an unexpected error" if message == "unexpected error" else visible(message))
    return told + _cause(line.get("cause"))


def _explain_call(found: re.Match[str], line: Mapping[str, Any]) -> str:
    alias, said = line.get("model_alias"), line.get("provider_message")
    of_model = f" of '{visible(str(alias))}'" if alias else ""
    words = f': "{visible(str(said))}"' if said else ""
    charged = {"unknown": ". Its cost is in suspense", "unbilled": ". It costs nothing"}.get(found[2], "")
    try:
        why = problem(found[3]).detail.partition(".")[0]
    except KeyError:
        why = found[3]
    return f"a call{of_model} failed: {why}{words}{charged}"


def _cause(cause: Any) -> str:
    """Return the type, the SQLSTATE and the place of the innermost cause."""
    if not isinstance(cause, dict):
        return ""
    while isinstance(cause.get("cause"), dict):
        cause = cause["cause"]
    state = f" {cause['sqlstate']}" if "sqlstate" in cause else ""
    places = cause.get("at") or ["?"]
    return f" ({cause.get('type', '?')}{state} in {places[-1]})"
