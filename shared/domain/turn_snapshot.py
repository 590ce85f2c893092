"""Derive the events that a client has not seen from a turn as it is stored at one moment."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from shared.domain.json_text import json_text
from shared.domain.turn import Plan
from shared.domain.turn_events import Event, EventName, Heard, Progress


@dataclass(frozen=True, slots=True)
class Started:
    """The newest call of the agent at `position`. `attempt` is the call's number within its step."""

    position: int
    agent_key: str
    name: str
    model_alias: str
    attempt: int


@dataclass(frozen=True, slots=True)
class TurnSnapshot:
    """`body` is the turn as JSON. `started` and `replies` are by position. `replies` holds the objects in the turn."""

    body: str
    ended: bool = False
    plan: Plan | None = None
    started: Mapping[int, Started] = field(default_factory=dict)
    replies: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)


def events_after(seen: Progress | None, snapshot: TurnSnapshot) -> list[Event]:
    """Return the events that a client has not seen. `seen` is None if it has seen nothing."""
    if seen is not None and seen.ended:
        return []
    news = _News(seen or Progress())
    if seen is None:
        news.add("turn", snapshot.body)
    if snapshot.plan is not None and not news.seen.planned:
        news.seen = replace(news.seen, planned=True)
        news.add("plan", json_text(snapshot.plan.as_dict()))
    for position in sorted({*snapshot.started, *snapshot.replies}):
        _tell_reply(news, position, snapshot.started.get(position), snapshot.replies.get(position))
    if snapshot.ended:
        news.seen = replace(news.seen, ended=True)
        news.add("turn.ended", snapshot.body)
    return news.events


@dataclass(slots=True)
class _News:
    """Collects events. `seen` is the progress of a client that has read them."""

    seen: Progress
    events: list[Event] = field(default_factory=list)

    def add(self, name: EventName, data: str, position: int | None = None) -> None:
        self.events.append(Event(name, data, self.seen.as_id(), position))


def _tell_reply(news: _News, position: int, started: Started | None, reply: Mapping[str, Any] | None) -> None:
    heard = news.seen.heard(position)
    if started is not None and started.attempt > heard.attempt:
        # A live stream may have told a reply that its process did not store. A newer attempt takes its place.
        heard = Heard(started.attempt)
        news.seen = news.seen.with_reply(position, heard)
        news.add("reply.started", json_text(asdict(started)), position)
    if reply is not None and not heard.completed:
        news.seen = news.seen.with_reply(position, replace(heard, completed=True))
        news.add("reply.completed", json_text(reply), position)
