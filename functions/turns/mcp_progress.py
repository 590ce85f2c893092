"""Report a turn's progress to an MCP client: notifications if it asked for them, otherwise comments."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from functions.turns.live import LiveTurn
from functions.turns.mcp_messages import Message
from shared.domain.turn_events import Delta, Event

ProgressToken = str | int
# The longest silence, in seconds. Some clients give up after 10 s.
INTERVAL_S: Final = 8.0


def follow(
    turn: LiveTurn, token: ProgressToken | None, clock: Callable[[], float] = time.monotonic
) -> Iterator[Message | None]:
    """Yield notifications while the turn runs. None is a comment, which keeps the connection alive."""
    progress, began = _Progress(), clock()
    told_at, value = began, 0.0
    while (events := turn.next(max(0.0, told_at + INTERVAL_S - clock()))) is not None:
        changed = progress.hear(events)
        now = clock()
        if token is None:
            if now >= told_at + INTERVAL_S:
                told_at = now
                yield None
        elif changed or now >= told_at + INTERVAL_S:
            # MCP requires a growing value.
            told_at, value = now, max(round(value + 0.1, 1), round(now - began, 1))
            yield _notification(token, value, progress.message())


def _notification(token: ProgressToken, seconds: float, message: str) -> Message:
    parameters = {"progressToken": token, "progress": seconds, "message": message}
    return {"jsonrpc": "2.0", "method": "notifications/progress", "params": parameters}


class _Progress:
    """The agents that answer now, and the number of ready replies."""

    def __init__(self) -> None:
        self._planned = 0
        # By position: the names of agents that answer, and the replies that are ready.
        self._answering: dict[int, str] = {}
        self._ready: set[int] = set()

    def hear(self, events: Sequence[Event | Delta]) -> bool:
        """Take events. Return whether they change the message."""
        before = self.message()
        for event in events:
            if isinstance(event, Event):
                self._hear(event.name, json.loads(event.data))
        return self.message() != before

    def message(self) -> str:
        if not self._planned:
            return "The council begins."
        ready = f"{len(self._ready)} of {self._planned} replies are ready."
        if not self._answering:
            return ready
        names = [name for _, name in sorted(self._answering.items())]
        return f"{_listed(names)} {'answers' if len(names) == 1 else 'answer'}. {ready}"

    def _hear(self, name: str, data: Mapping[str, Any]) -> None:
        match name:
            case "turn":
                self._plan(data["plan"])
            case "plan":
                self._plan(data)
            case "reply.started":
                self._answering[data["position"]] = data["name"]
            case "reply.completed":
                self._answering.pop(data["position"], None)
                self._ready.add(data["position"])

    def _plan(self, plan: Mapping[str, Any] | None) -> None:
        self._planned = len(plan["selected_agent_keys"]) if plan else self._planned


def _listed(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
