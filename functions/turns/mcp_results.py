"""Write turns and refusals as results of MCP's tools.

`structuredContent` is the turn. Some clients show a model only the text, and others only the turn. So a turn that has
not ended or was cut has a `note` among its fields. A refusal has its problem in `_meta`, because it has no turn.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from functions.turns.chat_answer import failure_in
from functions.turns.mcp_messages import Message
from shared.domain.chat import shown_body
from shared.domain.outcome import TurnOutcome
from shared.domain.turn import SIZE_LIMIT
from shared.errors import PantheonError
from shared.names import API_PREFIX

# MCP's Python client refuses an event of more than 1 MiB.
MAX_RESULT_BYTES: Final = 900_000
_PROBLEM: Final = "pantheon/problem"
_IDEMPOTENCY_KEY: Final = "pantheon/idempotency_key"


def text_result(text: str, structured: Message) -> dict[str, Any]:
    return {"content": _content(text), "structuredContent": structured, "isError": False}


def refusal(problem: Mapping[str, Any], error: Exception | None = None) -> dict[str, Any]:
    """Return the result of a refused call. `problem` is its problem document."""
    text = f"{problem['code']}: {problem['detail']}"
    if isinstance(error, PantheonError) and (wait_s := error.headers.get("Retry-After")):
        text += f" Try again in {wait_s} seconds."
    if active := problem.get("active_turn_id"):
        text += f" The active turn is {active}."
    return {"content": _content(text), "isError": True, "_meta": {_PROBLEM: dict(problem)}}


def turn_result(outcome: TurnOutcome, idempotency_key: str) -> dict[str, Any]:
    """Return the result of an accepted turn. `idempotency_key` fetches the turn again."""
    turn = json.loads(outcome.body)
    text, is_error = _told(turn, outcome, idempotency_key)
    meta = {_IDEMPOTENCY_KEY: idempotency_key}
    if not outcome.ended:
        turn |= {"note": text, "idempotency_key": idempotency_key}
    result = {"content": _content(text), "structuredContent": turn, "isError": is_error, "_meta": meta}
    return result if _size(result) <= MAX_RESULT_BYTES else _cut(result, turn, text)


def _told(turn: Mapping[str, Any], outcome: TurnOutcome, idempotency_key: str) -> tuple[str, bool]:
    """Return the text of a turn, and whether it is an error."""
    if not outcome.ended:
        return (
            f"The turn {turn['id']} goes on in another process. Call this tool again with the same arguments and the "
            f"idempotency_key {idempotency_key!r} to get its answer. That is not paid twice.",
            False,
        )
    failed = failure_in(turn)
    if failed is None:
        return shown_body(turn), False
    _, code, detail = failed
    return f"{code}: {detail}", True


def _cut(result: Mapping[str, Any], turn: Mapping[str, Any], text: str) -> dict[str, Any]:
    """Return the result with shortened texts, and a note where the whole turn is."""
    cut = f"This answer is too long for MCP and was cut. GET {API_PREFIX}/turns/{turn['id']} has all of it."
    note = f"{turn['note']} {cut}" if "note" in turn else cut
    ending = f"\n\n({note})"
    blanks = [{**reply, "text": reply["text"] and "", "stop_reason": SIZE_LIMIT} for reply in turn["replies"]]
    blank = {**turn, "output": "", "replies": blanks, "note": note}
    room = (MAX_RESULT_BYTES - _size({**result, "content": _content(ending), "structuredContent": blank})) // 3
    replies = list(_cut_replies(turn["replies"], room))
    shown = {**blank, "output": _beginning(turn["output"], room), "replies": replies}
    return {**result, "content": _content(_beginning(text, room) + ending), "structuredContent": shown}


def _cut_replies(replies: Iterable[Mapping[str, Any]], room: int) -> Iterable[Mapping[str, Any]]:
    for reply in replies:
        whole = reply["text"] or ""
        text = _beginning(whole, room)
        room -= _size(text) - 2
        yield reply if text == whole else {**reply, "text": text, "stop_reason": SIZE_LIMIT}


def _beginning(text: str, most_bytes: int) -> str:
    """Return the longest beginning of `text` with at most `most_bytes` bytes in JSON."""
    if _size(text) - 2 <= most_bytes:
        return text
    least, most = 0, max(0, most_bytes)
    while least < most:
        middle = (least + most + 1) // 2
        if _size(text[:middle]) - 2 <= most_bytes:
            least = middle
        else:
            most = middle - 1
    return text[:least]


def _size(value: object) -> int:
    """Return the bytes of `value` in an event, which is written in ASCII."""
    return len(json.dumps(value, separators=(",", ":")))


def _content(text: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text}]
