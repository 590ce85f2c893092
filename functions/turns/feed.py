"""A buffer between the thread that runs a turn and the thread that writes its events to a client.

A slow reader never slows a turn: if too much text waits, pieces of text are dropped. Other events are never dropped,
because a turn has few. After a dropped piece, the rest of its attempt is dropped too. So a client sees no text with a
gap.
"""

import threading
from dataclasses import dataclass, field
from typing import Final

from shared.domain.turn_events import Delta, Event

# The most text that waits for the reader, in bytes of UTF-8.
MAX_WAITING_BYTES: Final = 256 * 1024


@dataclass(slots=True)
class _Text:
    """Waiting pieces of one reply."""

    position: int
    pieces: list[str] = field(default_factory=list)


class Feed:
    """The buffer of one turn. The turn's thread calls `put`, and the writer calls `take`."""

    def __init__(self, most: int = MAX_WAITING_BYTES) -> None:
        self._most = most
        self._changed = threading.Condition()
        self._waiting: list[Event | _Text] = []
        # By position: the text that the next piece joins.
        self._open: dict[int, _Text] = {}
        # Positions whose attempt lost a piece.
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
        """Mark the end of the events."""
        with self._changed:
            self._has_ended = True
            self._changed.notify()

    def take(self, patience_s: float | None = None) -> list[Event | Delta] | None:
        """Wait for events and take all of them. Return [] after `patience_s` seconds, and None after the end."""
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
        # Later text must stay behind this event.
        self._open.clear()
        self._waiting.append(event)
