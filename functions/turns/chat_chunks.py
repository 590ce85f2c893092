"""Write the events of a turn as the chunks of a streamed chat completion.

The `delta.content` of all chunks joins to the text of the answer without streaming. The exception is an attempt that
broke off after its text was sent (`chat_text`). The chat program's history then differs from the stored one, so its
next request starts a session with the history that it sends.

With several agents, the next agent of the plan streams, and the others are sent whole after it. In mode `council` the
members' texts are `delta.reasoning_content`, and the chair's is `delta.content`. In a graph all replies are
`delta.reasoning_content`, and the output is `delta.content`.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from functions.openai_errors import HANDED_OVER, error_json
from functions.turns.chat_answer import (
    HANDED_OVER_DETAIL,
    completion_id,
    created_at,
    failure_in,
    finish_reason,
    pantheon_of,
    usage_of,
)
from functions.turns.chat_text import AGAIN, BROKE_OFF, SentText
from shared.domain.chat import shown_body, speaker
from shared.domain.turn import COUNCIL
from shared.domain.turn_events import Delta, Event
from shared.graph_names import is_graph

Channel = Literal["content", "reasoning_content"]

_DONE: Final = b"data: [DONE]\n\n"


class ChatChunks:
    """Encodes the events of one answer. `model` is as the client wrote it."""

    def __init__(self, model: str, *, is_call: bool, with_usage: bool) -> None:
        self._model, self._is_call, self._with_usage = model, is_call, with_usage
        self._turn: Mapping[str, Any] = {}
        self._planned = 0
        # Whether the next text is the graph's output instead of an agent's reply.
        self._concludes = False
        self._id: str | None = None
        # The position whose reply is being sent, and its sent text.
        self._current = 0
        self._text = SentText()
        # By position: names, and replies that completed before an earlier position was sent.
        self._names: dict[int, str] = {}
        self._completed: dict[int, Mapping[str, Any]] = {}
        # Positions whose newest attempt has a piece that was not sent.
        self._missed: set[int] = set()
        self._sent: dict[Channel, list[str]] = {"content": [], "reasoning_content": []}
        self._is_over = False

    def encode(self, item: Event | Delta) -> bytes:
        """Write one event, mostly as no chunk or one chunk."""
        return b"".join(self._chunks(item))

    def fail(self, problem: str) -> bytes:
        """End the answer with an error, unless it has ended."""
        if self._is_over:
            return b""
        self._is_over = True
        return _data(problem)

    def _chunks(self, item: Event | Delta) -> Iterator[bytes]:
        if isinstance(item, Delta):
            yield from self._stream(item)
            return
        data = json.loads(item.data)
        match item.name:
            case "turn":
                self._turn = data
                self._plan(data["plan"])
                if not self._is_call:
                    yield self._begin(data["id"])
            case "plan":
                self._plan(data)
            case "reply.started":
                yield from self._start(data, item.call_id)
            case "reply.reset":
                self._restart(data["position"])
            case "reply.completed":
                yield from self._complete(data)
            case "turn.ended":
                yield from self._end(data)
            case "turn.handed_over":
                yield self.fail(error_json(503, HANDED_OVER, HANDED_OVER_DETAIL, None))

    def _plan(self, plan: Mapping[str, Any] | None) -> None:
        self._planned = len(plan["selected_agent_keys"]) if plan else self._planned

    def _begin(self, id_: object) -> bytes:
        self._id = completion_id(id_)
        return self._chunk({"role": "assistant", "content": ""})

    def _start(self, started: Mapping[str, Any], call_id: str | None) -> Iterator[bytes]:
        if self._id is None:
            yield self._begin(call_id)
        self._names[started["position"]] = started["name"]
        self._restart(started["position"])

    def _restart(self, position: int) -> None:
        self._missed.discard(position)
        if position == self._current:
            self._text.restart()

    def _stream(self, delta: Delta) -> Iterator[bytes]:
        if delta.position != self._current or delta.position in self._missed:
            self._missed.add(delta.position)
            return
        opening = self._opening()
        if piece := self._text.add(delta.text):
            yield self._say(opening + piece)

    def _complete(self, reply: Mapping[str, Any]) -> Iterator[bytes]:
        """Send every completed reply from the current position on, up to the first that is not completed."""
        self._completed[reply["position"]] = reply
        self._names[reply["position"]] = reply["name"]
        while (done := self._completed.pop(self._current, None)) is not None:
            opening = self._opening()
            if done["status"] == "completed" and (piece := opening + self._text.complete(done["text"])):
                yield self._say(piece)
            elif done["status"] != "completed" and not self._text.is_empty and self._is_named:
                yield self._say(BROKE_OFF)
            self._current += 1
            self._text = SentText()

    def _end(self, turn: Mapping[str, Any]) -> Iterator[bytes]:
        self._turn = turn
        self._plan(turn["plan"])
        if failed := failure_in(turn):
            yield self.fail(error_json(*failed, None))
            return
        if self._id is None:
            yield self._begin(turn["id"])
        for reply in turn["replies"]:
            if reply["position"] >= self._current:
                yield from self._complete(reply)
        if rest := self._unsaid(turn):
            self._current = max(0, self._planned - 1)
            self._concludes = True
            yield self._say(rest)
        self._is_over = True
        yield self._chunk({}, finish_reason(turn), {"pantheon": pantheon_of(turn, is_call=self._is_call)})
        if self._with_usage:
            yield _data(json.dumps({**self._head(), "choices": [], "usage": usage_of(turn)}))
        yield _DONE

    def _unsaid(self, turn: Mapping[str, Any]) -> str:
        """Return the rest of the answer. If a council's chair failed, it is another agent's answer."""
        whole, sent = shown_body(turn), "".join(self._sent["content"])
        if whole.startswith(sent):
            return whole[len(sent) :]
        concluded = turn["mode"] != COUNCIL or turn["replies"][-1]["status"] == "completed"
        return "" if concluded else f"{AGAIN}{whole}"

    @property
    def _channel(self) -> Channel:
        """Return the channel of the current reply."""
        if is_graph(self._turn.get("mode", "")):
            # The graph's output is known only at its end.
            return "content" if self._concludes else "reasoning_content"
        is_member = self._turn.get("mode") == COUNCIL and self._current < self._planned - 1
        return "reasoning_content" if is_member else "content"

    @property
    def _is_named(self) -> bool:
        """Return whether the name of the agent is written before the current reply."""
        return self._channel == "reasoning_content" or (self._planned > 1 and self._turn.get("mode") != COUNCIL)

    def _opening(self) -> str:
        """Return the text before the current reply: a gap and the name of its agent."""
        if not self._is_named or not self._text.is_empty:
            return ""
        gap = "\n\n" if self._sent[self._channel] else ""
        return f"{gap}{speaker(self._names.get(self._current, ''))}"

    def _say(self, text: str) -> bytes:
        self._sent[self._channel].append(text)
        return self._chunk({self._channel: text})

    def _head(self) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": created_at(self._turn),
            "model": self._model,
        }

    def _chunk(
        self, delta: Mapping[str, str], finish: str | None = None, extra: Mapping[str, object] | None = None
    ) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        usage = {"usage": None} if self._with_usage else {}
        # ASCII, because some clients end a line at a Unicode line separator within a text.
        return _data(json.dumps({**self._head(), "choices": [choice], **usage, **(extra or {})}))


def _data(line: str) -> bytes:
    return f"data: {line}\n\n".encode()
