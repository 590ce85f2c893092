"""Write the events of a turn as text/event-stream."""

import json
from collections.abc import Mapping
from typing import Final

from shared.domain.turn_events import Delta, Event

MEDIA_TYPE: Final = "text/event-stream"
HEADERS: Final[Mapping[str, str]] = {"Content-Type": MEDIA_TYPE, "Cache-Control": "no-store"}
# Clients ignore a comment. It keeps a connection alive.
COMMENT: Final = b":\n\n"
_LAST: Final = ("turn.ended", "turn.handed_over")


def encode(event: Event | Delta) -> bytes:
    """Write an event and its final empty line. Raises ValueError if its data is not one line."""
    if isinstance(event, Delta):
        # ASCII, because a piece may end within a surrogate pair.
        return _written("reply.delta", json.dumps({"position": event.position, "text": event.text}), None)
    return _written(event.name, event.data, event.id)


class EventWriter:
    """The encoder of a turn's own events."""

    def __init__(self) -> None:
        self._last: Event | None = None

    def encode(self, item: Event | Delta) -> bytes:
        if isinstance(item, Event) and item.id is not None:
            self._last = item
        return encode(item)

    def fail(self, problem: str) -> bytes:
        """End the stream with a problem, unless the turn's last event is written."""
        if self._last is not None and self._last.name in _LAST:
            return b""
        return encode(Event("error", problem, self._last.id if self._last else None))


def retry(milliseconds: int) -> bytes:
    """Write the pause after which a client reconnects."""
    return f"retry: {milliseconds}\n\n".encode()


def _written(name: str, data: str, id_: str | None) -> bytes:
    if "\n" in data or "\r" in data:
        raise ValueError("The data of an event is one line.")
    id_line = "" if id_ is None else f"id: {id_}\n"
    return f"{id_line}event: {name}\ndata: {data}\n\n".encode()
