"""Tables and columns for chat programs: names of conversations, and columns of sessions and turns."""

from typing import Any

from sqlalchemy import Boolean, Column, Index, LargeBinary, PrimaryKeyConstraint, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from shared.db.schema.columns import derived, metadata

# The session that a user's name for a conversation means. A trigger removes the names of a deleted session (migration
# 0020). There is no foreign key, because accepting a turn writes the name before the session.
conversations = Table(
    "conversations",
    metadata,
    Column("tenant_id", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("session_id", Uuid, nullable=False),
    PrimaryKeyConstraint("tenant_id", "user_id", "name"),
    Index("conversations_session_id_idx", "session_id"),
)


def of_chat_sessions() -> list[Column[Any]]:
    return [
        # `chat`: a chat program made it. `call`: a hidden session of one plain call.
        Column("origin", Text, nullable=False, server_default=text("'api'")),
        # The chat program's model name.
        Column("model", Text),
        # The past that the chat program sent along, [{"role", "content"}], and its system messages.
        Column("imported", JSONB),
        Column("instructions", Text),
        derived("has_chat_text", Boolean, "imported IS NOT NULL OR instructions IS NOT NULL"),
    ]


def of_chat_turns() -> list[Column[Any]]:
    return [
        # The options of this turn's calls, and the prompt of a plain call.
        Column("options", JSONB),
        # Hashes of the chat program's conversation: with this turn's message, and also with its answer. A trigger
        # removes them and the next one with the text of an ended turn (migration 0020).
        Column("past_before", LargeBinary),
        Column("past_after", LargeBinary),
        # A hash of the chat program's request, by which a retry finds its turn.
        Column("request_hash", LargeBinary),
        derived("has_options", Boolean, "options IS NOT NULL"),
        derived("has_hashes", Boolean, "past_before IS NOT NULL OR past_after IS NOT NULL OR request_hash IS NOT NULL"),
    ]
