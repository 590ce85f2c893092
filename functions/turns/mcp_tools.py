"""The descriptions of the MCP tools `list_councils` and `ask_council`."""

from collections.abc import Mapping
from typing import Any, Final

from functions.turn_schemas import MAX_MESSAGE_CHARACTERS

LIST: Final = "list_councils"
ASK: Final = "ask_council"
INSTRUCTIONS: Final = (
    f"Pantheon is a council of LLM agents. {LIST} names the agents and councils that can be asked. {ASK} asks one of "
    "them. It may take minutes, and each call costs money."
)
_KEY: Final = {"type": "string", "description": "Its name in requests."}
_LISTED: Final = {
    "type": "object",
    "properties": {
        "councils": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "key": _KEY,
                    "name": {"type": "string"},
                    "kind": {"type": "string", "enum": ["agent", "council"]},
                    "mode": {"type": ["string", "null"], "description": "How a council works. An agent has none."},
                },
                "required": ["key", "name", "kind", "mode"],
            },
        }
    },
    "required": ["councils"],
}
_ASKED: Final = {
    "type": "object",
    "properties": {
        "council_or_agent": {
            "type": "string",
            "description": f"The key of an agent or a council, as {LIST} has it.",
        },
        "message": {"type": "string", "description": "The question.", "maxLength": MAX_MESSAGE_CHARACTERS},
        "session_id": {
            "type": "string",
            "description": "Goes on with this session, whose id an earlier answer has. Without it, a session begins.",
        },
        "idempotency_key": {
            "type": "string",
            "maxLength": 255,
            "description": "The same question with the same key is asked and paid once. It gets the same answer.",
        },
    },
    "required": ["council_or_agent", "message"],
    "additionalProperties": False,
}
_TURN: Final = {
    "type": "object",
    "description": "The turn as Pantheon's API has it. A turn that has not ended has the status accepted or running.",
    "properties": {
        "id": {"type": "string"},
        "session_id": {"type": "string", "description": "Give it to the next question to go on."},
        "status": {"type": "string", "enum": ["accepted", "running", "completed", "failed", "cancelled"]},
        "output": {"type": "string", "description": "The answer."},
        "replies": {"type": "array", "items": {"type": "object"}, "description": "The answer of each agent."},
        "cost_usd": {"type": "string", "description": "The tenant's cost, in USD."},
        "note": {"type": "string", "description": "The next step if the turn has not ended, or was cut."},
        "idempotency_key": {"type": "string", "description": "It gets the answer of a turn that has not ended."},
    },
    "required": ["id", "session_id", "status", "output", "replies", "cost_usd"],
}
TOOLS: Final[list[Mapping[str, Any]]] = [
    {
        "name": LIST,
        "title": "List councils",
        "description": "List the agents and the councils that can be asked: key, name, kind and mode.",
        "inputSchema": {"type": "object", "properties": {}, "additionalProperties": False},
        "outputSchema": _LISTED,
        "annotations": {"readOnlyHint": True, "openWorldHint": False},
    },
    {
        "name": ASK,
        "title": "Ask a council",
        "description": "Ask an agent or a council. Every call costs money. The answer may take minutes.",
        "inputSchema": _ASKED,
        "outputSchema": _TURN,
        "annotations": {
            "readOnlyHint": False,
            "destructiveHint": False,
            "idempotentHint": False,
            "openWorldHint": True,
        },
    },
]
