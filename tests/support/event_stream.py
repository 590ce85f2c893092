"""Read text/event-stream as a browser's EventSource does."""

import json
from dataclasses import dataclass
from typing import Any

# A field, a colon, and a value after one space at most.
_FIELDS = ("id", "event", "data", "retry")


@dataclass(frozen=True, slots=True)
class Told:
    """One event. `data` is its text."""

    name: str
    id: str | None
    data: str

    @property
    def body(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(self.data)
        return read


@dataclass(frozen=True, slots=True)
class Answer:
    """All that a text says: its events, its comments, and the last `retry` in milliseconds."""

    events: tuple[Told, ...]
    comments: int
    retry_ms: int | None

    @property
    def names(self) -> list[str]:
        return [event.name for event in self.events]


def read_events(text: str) -> Answer:
    """Raises AssertionError for a text that is not whole, or says what Pantheon never says."""
    assert text.endswith("\n\n")
    assert "\r" not in text
    events, comments, retry = list[Told](), 0, None
    for block in text[:-2].split("\n\n"):
        fields = dict[str, str]()
        for line in block.split("\n"):
            name, colon, value = line.partition(":")
            assert colon
            if not name:
                comments += 1
                continue
            assert name in _FIELDS
            assert name not in fields
            fields[name] = value.removeprefix(" ")
        if "retry" in fields:
            retry = int(fields["retry"])
        if "data" in fields:
            events.append(Told(fields["event"], fields.get("id"), fields["data"]))
    return Answer(tuple(events), comments, retry)
