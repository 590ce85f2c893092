"""Reads the events of a live turn as its client hears them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.event_stream import Told, read_events

# An event by the status whose answer has the same body.
_LAST: Mapping[str, int] = {"turn.ended": 201, "turn.handed_over": 202}


@dataclass(frozen=True)
class Heard:
    """`is_whole`: the stream ended without a break."""

    events: tuple[Told, ...]
    is_whole: bool

    @classmethod
    def read(cls, text: bytes, *, is_whole: bool) -> "Heard":
        """Return the complete events. A client ignores an event that broke off."""
        complete, end, _ = text.decode().rpartition("\n\n")
        return cls(read_events(complete + end).events if end else (), is_whole)

    @property
    def last_id(self) -> str | None:
        """Return the client's Last-Event-ID for its next request."""
        return next((event.id for event in reversed(self.events) if event.id is not None), None)

    def named(self, name: str) -> Sequence[Told]:
        return [event for event in self.events if event.name == name]

    def answer(self, streamed: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer without a stream that says the same. `streamed` are the stream's status and headers.

        An `error` is a problem with its own status.
        """
        last = self.events[-1]
        status = json.loads(last.data)["status"] if last.name == "error" else _LAST.get(last.name, 0)
        return {**streamed, "statusCode": status, "body": last.data}
