"""What the client of a live turn has heard, and what that says about the turn."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.event_stream import Told, read_events

# With the status that has the same body.
_LAST: Mapping[str, int] = {"turn.ended": 201, "turn.handed_over": 202}


@dataclass(frozen=True)
class Heard:
    """`is_whole`: the stream has ended by itself."""

    events: tuple[Told, ...]
    is_whole: bool

    @classmethod
    def read(cls, text: bytes, *, is_whole: bool) -> "Heard":
        """The events that have come. Of one that broke off, a client hears nothing."""
        complete, end, _ = text.decode().rpartition("\n\n")
        return cls(read_events(complete + end).events if end else (), is_whole)

    @property
    def last_id(self) -> str | None:
        """What a client sends as Last-Event-ID when it goes on."""
        return next((event.id for event in reversed(self.events) if event.id is not None), None)

    def named(self, name: str) -> Sequence[Told]:
        return [event for event in self.events if event.name == name]

    def answer(self, streamed: Mapping[str, Any]) -> dict[str, Any]:
        """The answer without a stream that says the same as this one, whose status and headers are `streamed`. An
        `error` is a problem with its own status."""
        last = self.events[-1]
        status = json.loads(last.data)["status"] if last.name == "error" else _LAST.get(last.name, 0)
        return {**streamed, "statusCode": status, "body": last.data}
