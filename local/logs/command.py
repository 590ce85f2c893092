"""Show the logs of `pantheon run` in plain words: all lines, errors, or one turn, for `pantheon logs`."""

import argparse
import re
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from typing import Any, Final

import psycopg

from local import environment
from local.logs.entry import Entry
from local.logs.follow import Follower
from local.logs.turns import Turns
from local.operations_url import operations_url
from local.postgres import PostgresError
from local.safe_text import visible
from shared.errors import PantheonError

Say = Callable[[str], None]

_POLL_S: Final = 0.3
_ID: Final = re.compile(r"[0-9a-f-]{4,36}")


class LogsError(Exception):
    """There are no logs, or no such turn. The text is one line."""


# The exceptions of `run`. Each text is written for the user.
LOGS_ERRORS: Final = (LogsError, PantheonError, PostgresError)


def run(given: argparse.Namespace, environ: Mapping[str, str], say: Say) -> None:
    """Run the command. Raises KeyboardInterrupt at Ctrl-C, or one of LOGS_ERRORS."""
    data_dir = environment.data_dir(environ)
    if not (data_dir / "log").is_dir():
        raise LogsError(f"There are no logs in {data_dir / 'log'}: start `pantheon run`.")
    try:
        follower = Follower(data_dir, from_end=False)
        entries = follower.new_entries()
        if given.turn:
            _show_turn(given.turn, environ, entries, say)
            return
        shown = [entry for entry in entries if _is_shown(entry, given)]
        for entry in shown[-given.lines :] if given.lines else ():
            say(_line(entry))
        while given.follow:
            time.sleep(_POLL_S)
            for entry in follower.new_entries():
                if _is_shown(entry, given):
                    say(_line(entry))
    except OSError as error:
        raise LogsError(f"{error.filename} cannot be read: {error.strerror}.") from error


def _is_shown(entry: Entry, given: argparse.Namespace) -> bool:
    if given.errors:
        return entry.kind in ("error", "warning")
    return entry.kind != "detail" or bool(entry.turn_id) or given.all


def _line(entry: Entry) -> str:
    text = f"turn {entry.turn_id} ended: {entry.text}" if entry.turn_id else entry.text
    request = str(entry.fields.get("correlation_id", ""))
    of_request = f"  request {visible(request)}" if request else ""
    kind = "turn" if entry.turn_id else entry.kind
    return f"{entry.time.astimezone():%Y-%m-%d %H:%M:%S}  {kind:<7}  {entry.source:<10}  {text}{of_request}"


def _show_turn(wanted: str, environ: Mapping[str, str], entries: Iterable[Entry], say: Say) -> None:
    """Print the turn, its calls, and all lines of requests that name the turn or one of its calls."""
    if not _ID.fullmatch(wanted):
        raise LogsError(f"'{visible(wanted)}' is not the id of a turn or the end of an id.")
    try:
        with operations_url(environ) as url, closing(Turns(url)) as turns:
            turn_id = _only(wanted, turns.ids_ending_in(wanted))
            ended, calls = turns.find(turn_id), turns.calls(turn_id)
    except psycopg.Error as error:
        raise LogsError(f"The database does not answer: {str(error).partition(chr(10))[0]}") from error
    when = f"{ended.completed_at.astimezone():%Y-%m-%d %H:%M:%S}  {ended.line()}" if ended else "It has not ended."
    say(f"Turn {turn_id}\n{when}\n")
    for call in calls:
        say(_call(call))
    named = {turn_id, *(call["call_id"] for call in calls)}
    found = [entry for entry in entries if any(name in entry.raw for name in named)]
    requests = {entry.fields["correlation_id"] for entry in found if "correlation_id" in entry.fields}
    for entry in entries:
        if entry in found or entry.fields.get("correlation_id") in requests:
            say(_line(entry))


def _only(wanted: str, ids: list[str]) -> str:
    match ids:
        case [turn_id]:
            return turn_id
        case []:
            raise LogsError(f"There is no turn {wanted}.")
    raise LogsError(f"Several turns end in {wanted}. Give more of the id.")


def _call(call: Mapping[str, Any]) -> str:
    who = f" {call['agent_key']}" if call["agent_key"] else ""
    seconds = "  running" if call["seconds"] is None else f"  {call['seconds']:.1f} s"
    fault = f"  {call['error_code']}" if call["error_code"] else ""
    head = f"call {call['call_id']}  {call['purpose']}{who}  {call['model_alias']}  {call['status']}{fault}"
    return f"{head}{seconds}  {call['cost_usd']:f} USD"
