"""Write a session's export as Markdown (CommonMark).

No text of a user or a model can look like a part of the document. A text is in a fence that is longer than any fence in
it. A name or a title is one line with escaped punctuation.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from shared.db.api.export import ExportPage
from shared.db.engine import Row
from shared.domain.summary import stored_items
from shared.domain.turn import format_time

_TICKS = re.compile("`+")
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
_LISTS = {
    "key_facts": "Key facts",
    "decisions": "Decisions",
    "open_questions": "Open questions",
    "action_items": "Action items",
}


def render(page: ExportPage) -> str:
    """Write a page. The first page begins with the session."""
    blocks = [] if page.after is not None else list(_session(page))
    for index, response in page.turns.items():
        blocks += _turn(json.loads(response))
        if index in page.summaries:
            blocks += _summary(page.summaries[index])
    if page.active_turn_id is not None:
        blocks.append(f"The turn {page.active_turn_id} has not ended yet.")
    return "".join(f"{block}\n\n" for block in blocks)


def _session(page: ExportPage) -> Iterator[str]:
    session = page.session
    yield f"# {_line(session['title']) or 'Session'}"
    yield "\n".join(
        [
            f"- Session: {session['id']}",
            f"- Made: {format_time(session['created_at'])}",
            f"- Made by: {_line(session['created_by'])}",
            f"- Visibility: {session['visibility']}",
            f"- Mode: {session['mode']}, {session['fan_out']}",
            *([f"- Chair: {session['chair_key']}"] if session["chair_key"] else []),
            *(f"- Agent: {_line(page.names[key])} ({_line(key)})" for key in session["agent_keys"]),
        ]
    )


def _turn(turn: dict[str, Any]) -> Iterator[str]:
    yield f"## Turn {turn['turn_index']}"
    yield f"{turn['created_at']}, {turn['mode']}, {turn['status']}, {turn['cost_usd']} USD"
    yield "### User"
    yield _fenced(turn["message"])
    for reply in turn["replies"]:
        yield f"### {_line(reply['name'])}"
        if reply["status"] == "completed":
            yield _fenced(reply["text"])
        else:
            yield f"{reply['status']}: {reply['error']['code']}"


def _summary(summary: Row) -> Iterator[str]:
    yield f"## Summary through turn {summary['through_turn_index']}"
    yield _fenced(summary["text"])
    stored, _ = stored_items(summary)
    for name, title in _LISTS.items():
        if items := [item for item in stored if item.list == name]:
            yield f"### {title}"
            yield "\n".join(f"- {item.id} (turn {item.turn_index}): {_line(item.text)}" for item in items)


def _fenced(text: str) -> str:
    longest = max((len(ticks) for ticks in _TICKS.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def _line(text: str) -> str:
    """Return the text as one line, with line breaks as blanks and punctuation escaped."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return _PUNCTUATION.sub(r"\\\1", " ".join(printable.split()))
