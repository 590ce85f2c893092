"""Stream a posted turn's events while a thread runs the turn.

The response ends after the thread, because Lambda stops a process that has answered. The turn continues if the client
disconnects.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from functions.problems import problem_of
from functions.server_sent_events import COMMENT, HEADERS, MEDIA_TYPE
from functions.turns.feed import Feed
from shared.domain.outcome import TurnOutcome
from shared.domain.turn_events import Delta, Event, Listener

# In seconds. Proxies may close a connection that is silent for longer.
COMMENT_S: Final = 15.0


class Encoder(Protocol):
    """Writes one turn as text/event-stream."""

    def encode(self, item: Event | Delta, /) -> bytes:
        """Write an event. Return b'' if it is not for the client."""
        ...

    def fail(self, problem: str, /) -> bytes:
        """Write the error that ended the turn's thread."""
        ...


class LiveTurn:
    """A turn that runs in a thread from the start. `take` runs it, and `conclude` handles its outcome."""

    def __init__(self, take: Callable[[Listener], TurnOutcome], conclude: Callable[[TurnOutcome], None]) -> None:
        self.outcome: TurnOutcome | None = None
        self.error: Exception | None = None
        self._take, self._conclude = take, conclude
        self._feed = Feed()
        self._thread = threading.Thread(target=self._run, name="turn")
        self._thread.start()

    def first(self) -> list[Event | Delta]:
        """Wait for the first events. Raises the error of a refused turn."""
        events = self._feed.take()
        if events is not None:
            return events
        self.join()
        raise self.error or AssertionError("The turn told no event.")

    def next(self, patience_s: float | None = None) -> list[Event | Delta] | None:
        """Return the next events, [] after `patience_s` seconds (COMMENT_S by default), None after the last event."""
        return self._feed.take(COMMENT_S if patience_s is None else patience_s)

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        try:
            self.outcome = self._take(self._feed.put)
            self._conclude(self.outcome)
        except Exception as error:  # noqa: BLE001 it is written to the client or raised for the request
            self.error = error
        finally:
            self._feed.end()


@dataclass(frozen=True, slots=True)
class Opened:
    """A turn that was not refused, with its first events. `outcome` is set if this process already ended the turn."""

    turn: LiveTurn
    events: list[Event | Delta]
    turn_id: UUID
    outcome: TurnOutcome | None

    @property
    def replayed(self) -> bool:
        return self.outcome is not None and self.outcome.replayed

    def answer(self, encoder: Encoder, headers: Mapping[str, str]) -> Response:
        """Return the response that streams the turn."""
        return _EventStream(self, encoder, headers)


def open_live(turn: LiveTurn) -> Opened:
    """Wait for the turn's first event. Raises the error of a refused turn."""
    events = turn.first()
    try:
        (opening,) = [event for event in events[:1] if isinstance(event, Event)]
        shown = json.loads(opening.data)
        told = {event.name for event in events if isinstance(event, Event)}
        if shown["status"] not in ("accepted", "running") or "turn.handed_over" in told:
            # This process has ended the turn, so the outcome follows in a moment.
            turn.join()
        return Opened(turn, events, UUID(shown["id"]), turn.outcome)
    except BaseException:
        turn.join()
        raise


class _EventStream(Response):
    media_type = MEDIA_TYPE

    def __init__(self, opened: Opened, encoder: Encoder, headers: Mapping[str, str]) -> None:
        self.status_code, self.background = 200, None
        # A stream has no Content-Length.
        self.init_headers({**HEADERS, **headers})
        self._opened, self._encoder = opened, encoder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            for piece in self._pieces(scope):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._opened.turn.join()

    def _pieces(self, scope: Scope) -> Iterator[bytes]:
        turn = self._opened.turn
        events: list[Event | Delta] | None = self._opened.events
        while events is not None:
            # A comment replaces an event that is not for the client, and keeps the connection alive.
            yield b"".join(map(self._encoder.encode, events)) or COMMENT
            events = turn.next()
        if turn.error is not None and (last := self._encoder.fail(problem_of(scope, turn.error))):
            yield last
