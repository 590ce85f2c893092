"""Print a line for each turn, each error and each process that dies, while `pantheon run` runs.

An error that repeats is printed at most twice in 10 seconds, with its count.
"""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Final, Literal

import psycopg

from local.logs.entry import Entry
from local.logs.follow import Follower
from local.logs.turns import Turns

Kind = Literal["turn", "error", "notice"]
# Seconds in which equal errors of one source count as repetitions.
_REPEATED_S: Final = 10.0
# The most attempts to read the row of a turn, one for each `look`.
_MOST_TRIES: Final = 40


@dataclass(slots=True)
class _Repeated:
    printed_at: float
    more: int = 0


class Reporter:
    """Print the lines. Call `look` several times a second. Any thread may call `notice`."""

    def __init__(self, data_dir: Path, ops_url: str, say: Callable[[str], None], *, as_json: bool, quiet: bool) -> None:
        self._logs = Follower(data_dir, from_end=True)
        self._turns = Turns(ops_url)
        self._say = say
        self._as_json = as_json
        self._quiet = quiet
        self._lock = Lock()
        self._repeated: dict[tuple[str, str], _Repeated] = {}
        # The failed reads of its row, by turn.
        self._waiting: dict[str, int] = {}

    def look(self) -> None:
        """Print the turns and errors since the last call."""
        with suppress(OSError):
            for entry in self._logs.new_entries():
                self._take(entry)
        for turn_id in list(self._waiting):
            self._print_turn(turn_id)
        self._print_repeated()

    def notice(self, text: str) -> None:
        self._print("notice", datetime.now(UTC), text)

    def close(self) -> None:
        self._turns.close()

    def _take(self, entry: Entry) -> None:
        if entry.turn_id and not self._quiet:
            self._waiting[entry.turn_id] = 0
        elif entry.kind in ("error", "warning") and entry.source != "postgres":
            # PostgreSQL also logs errors that guards raise on purpose. The function logs an error that matters.
            self._take_error(entry)

    def _print_turn(self, turn_id: str) -> None:
        self._waiting[turn_id] += 1
        try:
            turn = self._turns.find(turn_id)
        except psycopg.Error:
            # The supervisor reports a database that does not answer.
            turn = None
        if turn is not None:
            told = {"turn_id": turn.id, "status": turn.status, "agents": turn.agents, "seconds": turn.seconds}
            self._print("turn", turn.completed_at, turn.line(), title=turn.title, usd=turn.usd, **told)
        if turn is not None or self._waiting[turn_id] >= _MOST_TRIES:
            del self._waiting[turn_id]

    def _take_error(self, entry: Entry) -> None:
        key, now = (entry.source, entry.text), time.monotonic()
        if key in self._repeated:
            self._repeated[key].more += 1
            return
        self._repeated[key] = _Repeated(now)
        self._print("error", entry.time, f"{entry.source}: {entry.text.rstrip('.')}.", source=entry.source)

    def _print_repeated(self) -> None:
        """Forget errors that were printed long ago, and print the number of their repetitions."""
        for (source, text), repeated in list(self._repeated.items()):
            if time.monotonic() - repeated.printed_at > _REPEATED_S:
                del self._repeated[source, text]
                if repeated.more:
                    times = f"{repeated.more} more times within {_REPEATED_S:.0f} s"
                    self._print("error", datetime.now(UTC), f"{source}: {text}, {times}.", source=source)

    def _print(self, kind: Kind, when: datetime, text: str, **fields: object) -> None:
        if self._as_json:
            line = json.dumps({"time": when.astimezone(UTC).isoformat(), "kind": kind, "text": text, **fields})
        else:
            line = f"{when.astimezone():%H:%M:%S}  {kind:<6}  {text}"
        with self._lock:
            self._say(line)
