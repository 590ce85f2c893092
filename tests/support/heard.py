"""Keeps the events of a turn, and reads them as a client does."""

import json
from dataclasses import dataclass, field
from typing import Any

from shared.domain.turn_events import Delta, Event, Progress


@dataclass
class Heard:
    """`events` are in the order in which they came."""

    events: list[Event | Delta] = field(default_factory=list)

    def __call__(self, event: Event | Delta) -> None:
        self.events.append(event)

    @property
    def names(self) -> list[str]:
        """The names of the events, each followed by its position if it has one. Deltas in a row count once."""
        names = [_name(event) for event in self.events]
        return [name for index, name in enumerate(names) if "delta" not in name or names[index - 1 : index] != [name]]

    def data(self, name: str) -> list[Any]:
        """The data of the events with this name."""
        return [json.loads(event.data) for event in self.events if isinstance(event, Event) and event.name == name]

    def texts(self) -> dict[int, str]:
        """The text of each position's deltas since its last start."""
        texts: dict[int, str] = {}
        for event in self.events:
            if isinstance(event, Delta):
                texts[event.position] += event.text
            elif event.position is not None and event.name in ("reply.started", "reply.reset"):
                texts[event.position] = ""
        return texts

    def progress(self) -> list[Progress]:
        """Return the client's progress after each event with an id."""
        return [
            Progress.from_id(event.id) for event in self.events if isinstance(event, Event) and event.id is not None
        ]


def _name(event: Event | Delta) -> str:
    if isinstance(event, Delta):
        return f"delta {event.position}"
    return event.name if event.position is None else f"{event.name.removeprefix('reply.')} {event.position}"
