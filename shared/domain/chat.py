"""The conversation of a chat program, and the hash by which its turns are found."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from shared.domain.turn import Turn
from shared.graph_names import is_graph


class Line(NamedTuple):
    """A message of the conversation, with the field names of its stored form."""

    role: Literal["user", "assistant"]
    content: str


def beginning(tenant_id: str, user_id: str, model: str) -> bytes:
    return hashlib.sha256(json.dumps([tenant_id, user_id, model]).encode()).digest()


def extended(past: bytes, lines: Iterable[Line]) -> bytes:
    """Return the hash of a conversation with more messages. Blanks at a message's edges do not count, because chat
    programs trim them."""
    for line in lines:
        text = line.content.replace("\r\n", "\n").strip()
        past = hashlib.sha256(past + json.dumps([line.role, text]).encode()).digest()
    return past


def shown(turn: Turn) -> str:
    """Return the turn's answer as a chat program shows it."""
    replies = [(reply.name, reply.text or "") for reply in turn.replies if reply.status == "completed"]
    planned = len(turn.plan.selected_agent_keys) if turn.plan else len(turn.replies)
    return _shown(turn.output, replies, is_one=planned == 1 or turn.conclusion is not None or is_graph(turn.mode))


def shown_body(turn: Mapping[str, Any]) -> str:
    """Return the same from a turn's JSON."""
    replies = [(reply["name"], reply["text"] or "") for reply in turn["replies"] if reply["status"] == "completed"]
    planned = len(turn["plan"]["selected_agent_keys"]) if turn["plan"] else len(turn["replies"])
    concludes = turn["reviews"] is not None or is_graph(turn["mode"])
    return _shown(turn["output"], replies, is_one=planned == 1 or concludes)


def speaker(name: str) -> str:
    """Return the prefix of a text of one of several agents."""
    return f"**{name}:** "


def _shown(output: str, replies: Iterable[tuple[str, str]], *, is_one: bool) -> str:
    return output if is_one else "\n\n".join(f"{speaker(name)}{text}" for name, text in replies)
