"""Answers a posted turn with its events, while a thread of its own runs it.

The response ends only after the thread has: Lambda stops a process that has answered. A client that is gone changes
nothing for the turn.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Final
from uuid import UUID

from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from functions.http import problem_of
from functions.server_sent_events import COMMENT, HEADERS, MEDIA_TYPE, encode
from functions.turns.feed import Feed
from shared.domain.outcome import TurnOutcome
from shared.domain.turn_events import Delta, Event, Listener

# A connection without a byte for longer may be taken for a dead one.
COMMENT_S: Final = 15.0
_LAST: Final = ("turn.ended", "turn.handed_over")


class LiveTurn:
    """A turn in its thread, from the start on. `take` runs the turn, `conclude` does what follows its outcome."""

    def __init__(self, take: Callable[[Listener], TurnOutcome], conclude: Callable[[TurnOutcome], None]) -> None:
        self.outcome: TurnOutcome | None = None
        self.error: Exception | None = None
        self._take, self._conclude = take, conclude
        self._feed = Feed()
        self._thread = threading.Thread(target=self._run, name="turn")
        self._thread.start()

    def first(self) -> list[Event | Delta]:
        """Wait for the first events. Raises the error of a turn that was refused."""
        events = self._feed.take()
        if events is not None:
            return events
        self.join()
        raise self.error or AssertionError("The turn told no event.")

    def next(self) -> list[Event | Delta] | None:
        """The next events, or none of them after COMMENT_S. None: the turn's thread has nothing more to tell."""
        return self._feed.take(COMMENT_S)

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        try:
            self.outcome = self._take(self._feed.put)
            self._conclude(self.outcome)
        except Exception as error:  # noqa: BLE001 the client is told of it, or it is raised for the request
            self.error = error
        finally:
            self._feed.end()


def answer_live(turn: LiveTurn, headers: Callable[[UUID, bool], Mapping[str, str]]) -> Response:
    """The response to a turn that was not refused. `headers` takes its id, and whether it was answered before.

    Raises the error of a turn that was refused."""
    first = turn.first()
    try:
        (opening,) = [event for event in first[:1] if isinstance(event, Event)]
        shown = json.loads(opening.data)
        if shown["status"] not in ("accepted", "running"):
            # It had ended before it was told, so that its outcome is there in a moment.
            turn.join()
        replayed = turn.outcome is not None and turn.outcome.replayed
        return _EventStream(turn, first, headers(UUID(shown["id"]), replayed))
    except BaseException:
        turn.join()
        raise


class _EventStream(Response):
    """`first` are the first events of `turn`."""

    media_type = MEDIA_TYPE

    def __init__(self, turn: LiveTurn, first: list[Event | Delta], headers: Mapping[str, str]) -> None:
        self.status_code, self.background = 200, None
        # There is no body here, and so no Content-Length.
        self.init_headers({**HEADERS, **headers})
        self._turn, self._first = turn, first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            for piece in self._pieces(scope):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._turn.join()

    def _pieces(self, scope: Scope) -> Iterator[bytes]:
        events: list[Event | Delta] | None = self._first
        last: Event | None = None
        while events is not None:
            told = [event for event in events if isinstance(event, Event) and event.id is not None]
            last = told[-1] if told else last
            yield b"".join(map(encode, events)) or COMMENT
            events = self._turn.next()
        if self._turn.error is not None:
            # Whatever failed after the turn's last event is in the log. The client has all that it waits for.
            problem = problem_of(scope, self._turn.error)
            if last is None or last.name not in _LAST:
                yield encode(Event("error", problem, last.id if last else None))
