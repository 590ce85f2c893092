"""Lists every target by name; a folder of that name has its corpus."""

from collections.abc import Mapping
from types import MappingProxyType

from tests.fuzz import chats, gateway, logs, mcp, messages, schedules, structured, tags, wire
from tests.fuzz.target import Target

TARGETS: Mapping[str, Target] = MappingProxyType(
    {
        "tags": Target("tags", tags.attempt, tags.WORDS),
        "structured": Target("structured answers", structured.attempt, structured.WORDS),
        "gateway": Target("events of API Gateway", gateway.attempt, gateway.WORDS, stores=True),
        "messages": Target("events of SQS", messages.attempt, messages.WORDS, stores=True),
        "cursors": Target("cursors", gateway.attempt_cursor, ("null", "[", '"', "2026-01-01"), stores=True),
        "schedules": Target("events of EventBridge", schedules.attempt, schedules.WORDS, stores=True),
        "wire": Target("providers' responses", wire.attempt, wire.WORDS),
        "chats": Target("bodies of chat completions", chats.attempt, chats.WORDS),
        "mcp": Target("messages of MCP", mcp.attempt, mcp.WORDS),
        "logs": Target("providers' logs", logs.attempt, logs.WORDS),
    }
)
