"""The events of a turn for a client that follows it, and the opaque id by which it continues later."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

EventName = Literal[
    "turn",
    "plan",
    "reply.started",
    "reply.reset",
    "reply.completed",
    "turn.ended",
    "turn.handed_over",
    "error",
]

_ENDED: Final = "end"
_ID: Final = re.compile(r"[01](?:\.[0-9]{1,4}c?){0,200}")


@dataclass(frozen=True, slots=True)
class Event:
    """`data` is one line of JSON. `id` is the client's progress up to here, None for a reset. `position` is the
    reply's. A `reply.started` has the `call_id` of its call."""

    name: EventName
    data: str
    id: str | None
    position: int | None = None
    call_id: str | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """A provisional piece of the text of the reply at `position`."""

    position: int
    text: str


# Takes the events of one turn in order, from any thread but one at a time. It never blocks or raises.
Listener = Callable[[Event | Delta], None]


@dataclass(frozen=True, slots=True)
class Heard:
    """A client's progress in one reply: the number of its newest attempt, and whether it is completed."""

    attempt: int = 0
    completed: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """A client's progress in a turn. `replies` are by position."""

    planned: bool = False
    replies: tuple[Heard, ...] = ()
    ended: bool = False

    def heard(self, position: int) -> Heard:
        return self.replies[position] if position < len(self.replies) else Heard()

    def with_reply(self, position: int, heard: Heard) -> "Progress":
        replies = [self.heard(each) for each in range(max(position + 1, len(self.replies)))]
        replies[position] = heard
        return replace(self, replies=tuple(replies))

    def as_id(self) -> str:
        if self.ended:
            return _ENDED
        heard = (f".{each.attempt}{'c' if each.completed else ''}" for each in self.replies)
        return f"{int(self.planned)}{''.join(heard)}"

    @classmethod
    def from_id(cls, text: str) -> "Progress":
        """Read an event's id. Raises ValueError for any other text."""
        if text == _ENDED:
            return cls(planned=True, ended=True)
        if not _ID.fullmatch(text):
            raise ValueError("not an event id")
        planned, *replies = text.split(".")
        return cls(planned == "1", tuple(Heard(int(each.rstrip("c")), each.endswith("c")) for each in replies))
