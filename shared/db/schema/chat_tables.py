"""What is kept for chat programs: names of conversations, and their columns of sessions and turns."""

from typing import Any

from sqlalchemy import Boolean, Column, LargeBinary, PrimaryKeyConstraint, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from shared.db.schema.columns import derived, metadata

# The session that a user's name for a conversation means now. No foreign key: a deleted session is as good as none.
conversations = Table(
    "conversations",
    metadata,
    Column("tenant_id", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("session_id", Uuid, nullable=False),
    PrimaryKeyConstraint("tenant_id", "user_id", "name"),
)


def of_chat_sessions() -> list[Column[Any]]:
    """Columns of `sessions`."""
    return [
        # `chat`: a chat program made it. `call`: it is hidden, for one call without a session.
        Column("origin", Text, nullable=False, server_default=text("'api'")),
        # What the chat program calls as its model.
        Column("model", Text),
        # The past that the chat program brought along: [{"role", "content"}], and its system messages.
        Column("imported", JSONB),
        Column("instructions", Text),
        derived("has_chat_text", Boolean, "imported IS NOT NULL OR instructions IS NOT NULL"),
    ]


def of_chat_turns() -> list[Column[Any]]:
    """Columns of `turns`."""
    return [
        # How the agents are asked in this turn, and the prompt of a call without a session.
        Column("options", JSONB),
        # Hashes of the conversation as a chat program shows it: with this turn's message, and with its answer, too.
        Column("past_before", LargeBinary),
        Column("past_after", LargeBinary),
        # A hash of the chat program's request, by which a retry finds its turn.
        Column("request_hash", LargeBinary),
        derived("has_options", Boolean, "options IS NOT NULL"),
    ]
