"""Hold a conversation with a council over HTTP: its session, its turns and their cost.

Each message has its own idempotency key, so that it is answered and charged once. After a lost connection, the message
is posted again with this key, or its turn is followed.
"""

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from uuid import uuid4

from local.deployment import Deployment, DeploymentError

_TITLE: Final = 60
_MOST_TRIES: Final = 5
_PAUSE_S: Final = 0.5
_LAST: Final = ("turn.ended", "error")
_ENDED: Final = ("completed", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Told:
    """An event of a turn. `body` is its JSON."""

    name: str
    body: dict[str, Any]
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """A council or an agent that can answer."""

    key: str
    name: str
    session: dict[str, Any]


class Conversation:
    """`choice` is the council or agent that answers. Each method raises DeploymentError."""

    def __init__(self, there: Deployment, key: str | None) -> None:
        self.turns = 0
        self.spent_usd = Decimal(0)
        self._there = there
        self._session_id: str | None = None
        self._turn_id: str | None = None
        self.choice = self._choose(key)

    def choices(self) -> list[Choice]:
        """Return the councils, then the enabled agents."""
        councils = [
            Choice(each["key"], each["name"], {"council_key": each["key"]}) for each in self._there.items("councils")
        ]
        agents = [
            Choice(each["key"], each["name"], {"agent_keys": [each["key"]]})
            for each in self._there.items("agents")
            if each["enabled"]
        ]
        return councils + agents

    def switch(self, key: str) -> None:
        """Talk to another council or agent, in a new session."""
        self.choice = self._choose(key)
        self._session_id = None

    def ask(self, message: str) -> Iterator[Told]:
        """Yield the events of a new turn. The last one is `turn.ended` or `error`."""
        if self._session_id is None:
            title = " ".join(message.split())[:_TITLE]
            self._session_id = self._there.ask("POST", "sessions", {"title": title, **self.choice.session})["id"]
        self._turn_id = None
        path, key, has_ended = f"sessions/{self._session_id}/turns", uuid4().hex, False
        for attempt in range(1, _MOST_TRIES + 1):
            try:
                for told in _events(self._there.stream("POST", path, {"message": message}, {"Idempotency-Key": key})):
                    yield from self._take(told)
                    # Read the rest of the stream, so that the connection can be reused.
                    has_ended = has_ended or told.name in _LAST
                break
            except DeploymentError as error:
                if has_ended or self._turn_id is not None:
                    break
                if error.is_refusal or attempt == _MOST_TRIES:
                    raise
            time.sleep(_PAUSE_S * attempt)
        if not has_ended:
            yield from self._follow()

    def cancel(self) -> str | None:
        """Cancel the running turn and return its id, or None if no turn runs."""
        turn_id = self._turn_id or self._find_running()
        if turn_id is not None:
            try:
                self._there.ask("POST", f"turns/{turn_id}/cancel")
            except DeploymentError as error:
                # Status 409: the turn has ended.
                if error.status != 409:
                    raise
        return turn_id

    def wait(self, turn_id: str) -> Iterator[Told]:
        """Wait for the end of a turn, and yield its only event."""
        turn = self._there.ask("GET", f"turns/{turn_id}")
        while turn["status"] not in _ENDED:
            turn = self._there.ask("GET", f"turns/{turn_id}?wait=20")
        yield from self._take(Told("turn.ended", turn))

    def month(self) -> dict[str, Any]:
        return self._there.ask("GET", "budget")

    def _choose(self, key: str | None) -> Choice:
        choices = self.choices()
        for choice in choices:
            if key in (None, choice.key):
                return choice
        if key is None:
            raise DeploymentError("There is no council and no agent: make some with `pantheon apply`.")
        known = ", ".join(choice.key for choice in choices) or "none"
        raise DeploymentError(f"There is no council and no agent '{key}'. There are: {known}.")

    def _follow(self) -> Iterator[Told]:
        """Yield the remaining events of a turn that was handed over, or whose connection was lost."""
        if self._turn_id is None:
            self._turn_id = self._find_running()
        last, path = "", f"turns/{self._turn_id}/events"
        failures = 0
        while failures < _MOST_TRIES:
            try:
                headers = {"Last-Event-ID": last} if last else {}
                for told in _events(self._there.stream("GET", path, None, headers)):
                    last = told.id or last
                    yield from self._take(told)
                    if told.name in _LAST:
                        return
                failures = 0
            except DeploymentError as error:
                failures += 1
                if error.is_refusal or failures == _MOST_TRIES:
                    raise
            time.sleep(_PAUSE_S)

    def _take(self, told: Told) -> Iterator[Told]:
        """Record the turn of an event and its cost. Yield it, unless it is `turn.handed_over`."""
        if told.name in ("turn", "turn.ended", "turn.handed_over"):
            self._turn_id = str(told.body["id"])
        if told.name == "turn.ended":
            self.turns += 1
            self.spent_usd += Decimal(told.body["cost_usd"])
        if told.name != "turn.handed_over":
            yield told

    def _find_running(self) -> str | None:
        found = self._there.ask("GET", f"sessions/{self._session_id}/turns?limit=1&order=desc")["items"]
        return str(found[0]["id"]) if found and found[0]["status"] not in _ENDED else None


def _events(lines: Iterable[str]) -> Iterator[Told]:
    fields = dict[str, str]()
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
            continue
        if "data" in fields:
            yield Told(fields.get("event", "message"), json.loads(fields["data"]), fields.get("id"))
        fields = {}
