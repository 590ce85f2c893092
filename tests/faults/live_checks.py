"""Checks the events that a live turn's client has heard: all of it is stored, and none came twice."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from shared.db.engine import Row
from tests.faults.heard import Heard
from tests.support.event_stream import Told

Finding = tuple[str, str]
_LAST = ("turn.ended", "turn.handed_over", "error")


def unlike(row: Row, live: Heard, followed: Heard | None = None, *, lags: bool = False) -> Iterator[Finding]:
    """Compare the events of a client with `row`, a turn that has ended.

    `followed` are the events after it reconnected. A client that `lags` may have missed pieces of text.
    """
    client = _Client(row, lags)
    for event in live.events:
        client.hear(event, is_live=True)
    yield from _ends(row, live)
    if followed is not None:
        for event in followed.events:
            client.hear(event, is_live=False)
        client.look_for_gaps()
    yield from client.found


def _ends(row: Row, live: Heard) -> Iterator[Finding]:
    """Check the end of an unbroken stream against the turn."""
    names = [event.name for event in live.events]
    if live.is_whole and names[-1] not in _LAST:
        yield "told", f"a stream of turn {row['id']} ended with {names[-1]}"
    if names and names[0] != "turn":
        yield "told", f"a stream of turn {row['id']} began with {names[0]}"
    if any(name in _LAST for name in names[:-1]):
        yield "shown", f"a stream of turn {row['id']} went on after its end: {names}"


@dataclass
class _Client:
    """A client that believes every event. `texts` are the deltas of each reply since its attempt began."""

    row: Row
    lags: bool = False
    found: list[Finding] = field(default_factory=list)
    texts: dict[int, str] = field(default_factory=dict)
    replies: dict[int, Any] = field(default_factory=dict)
    ends: int = 0

    def hear(self, event: Told, *, is_live: bool) -> None:
        body = event.body
        match event.name:
            case "turn" | "turn.handed_over":
                self._expect("shown", body["id"] == str(self.row["id"]), f"another turn, {body['id']}")
            case "plan":
                self._expect("plan", body == self.row["plan"], f"plan {body}, and has {self.row['plan']}")
            case "reply.started":
                position = body["position"]
                kept = is_live and self.texts.get(position)
                self._expect("shown", not kept, f"a new attempt without a reset of {kept!r}")
                self.texts[position] = ""
            case "reply.reset":
                self.texts[body["position"]] = ""
            case "reply.delta":
                self._expect("shown", body["position"] not in self.replies, f"{body} after its reply")
                self.texts[body["position"]] = self.texts.get(body["position"], "") + body["text"]
            case "reply.completed":
                self._complete(body, is_live=is_live)
            case "turn.ended":
                self.ends += 1
                self._expect("shown", event.data == self.row["response"], "an end that is not stored")
                self._expect("repeated", self.ends == 1, "its end again")

    def look_for_gaps(self) -> None:
        """Check that a client that followed the turn to its end has every event."""
        self._expect("unheard", self.ends > 0, "no end")
        missing = [reply["position"] for reply in self._stored if reply["position"] not in self.replies]
        self._expect("unheard", not missing, f"nothing of replies {missing}")

    def _complete(self, reply: dict[str, Any], *, is_live: bool) -> None:
        position, said = reply["position"], self.texts.get(reply["position"], "")
        self._expect("repeated", position not in self.replies, f"reply {position} again")
        self.replies[position] = reply
        stored = self._stored[position]
        self._expect("shown", reply == stored, f"reply {reply}, and stored is {stored}")
        text = reply["text"] or ""
        # Pieces may be missing at the end of a stream that broke off.
        is_said = said == text if is_live and not self.lags else text.startswith(said)
        self._expect("shown", is_said, f"the text {said!r} of reply {position}, which is {text!r}")

    @property
    def _stored(self) -> list[dict[str, Any]]:
        replies: list[dict[str, Any]] = json.loads(self.row["response"])["replies"]
        return replies

    def _expect(self, kind: str, holds: bool, text: str) -> None:
        if not holds:
            self.found.append((kind, f"a client of turn {self.row['id']} was shown {text}"))
