"""A buffer between the thread that runs a turn and the one that writes its events to a client.

A slow reader never slows a turn. Pieces of text are dropped if too many wait. Other events never are: a turn has few of
them. A client never sees a text with a hole: after a dropped piece, the rest of its attempt is dropped too.
"""

import threading
from dataclasses import dataclass, field
from typing import Final

from shared.domain.turn_events import Delta, Event

# So many bytes of text, in UTF-8, wait for the reader at most.
MAX_WAITING_BYTES: Final = 256 * 1024


@dataclass(slots=True)
class _Text:
    """Pieces of one reply that wait together."""

    position: int
    pieces: list[str] = field(default_factory=list)


class Feed:
    """`put` is a Listener for the turn's thread, `take` is for the writer."""

    def __init__(self, most: int = MAX_WAITING_BYTES) -> None:
        self._most = most
        self._changed = threading.Condition()
        self._waiting: list[Event | _Text] = []
        # By position: the text that the next piece joins.
        self._open: dict[int, _Text] = {}
        # Positions whose attempt has lost a piece.
        self._cut: set[int] = set()
        self._bytes = 0
        self._has_ended = False

    def put(self, item: Event | Delta) -> None:
        with self._changed:
            if isinstance(item, Delta):
                self._put_text(item)
            else:
                self._put_event(item)
            self._changed.notify()

    def end(self) -> None:
        """No more events come."""
        with self._changed:
            self._has_ended = True
            self._changed.notify()

    def take(self, patience_s: float | None = None) -> list[Event | Delta] | None:
        """Wait for events, and take all that wait. Returns none of them when patience ends, and None after the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._has_ended, patience_s)
            if not self._waiting:
                return None if self._has_ended else []
            waiting, self._waiting = self._waiting, []
            self._open.clear()
            self._bytes = 0
        return [Delta(item.position, "".join(item.pieces)) if isinstance(item, _Text) else item for item in waiting]

    def _put_text(self, delta: Delta) -> None:
        if delta.position in self._cut:
            return
        # A piece may end within a surrogate pair.
        size = len(delta.text.encode("utf-8", "surrogatepass"))
        if self._bytes + size > self._most:
            self._cut.add(delta.position)
            return
        self._bytes += size
        text = self._open.get(delta.position)
        if text is None:
            text = self._open[delta.position] = _Text(delta.position)
            self._waiting.append(text)
        text.pieces.append(delta.text)

    def _put_event(self, event: Event) -> None:
        if event.name == "reply.started" and event.position is not None:
            self._cut.discard(event.position)
        # What comes later stays behind this event.
        self._open.clear()
        self._waiting.append(event)
