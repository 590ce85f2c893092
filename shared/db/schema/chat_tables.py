"""Names that chat programs give to conversations."""

from sqlalchemy import Column, PrimaryKeyConstraint, Table, Text, Uuid

from shared.db.schema.columns import metadata

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
