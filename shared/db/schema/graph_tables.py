"""Tables of LangGraph's Postgres checkpointer, in the library's form (migration 0023)."""

from sqlalchemy import Column, Index, Integer, LargeBinary, PrimaryKeyConstraint, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from shared.db.schema.columns import metadata


def _thread() -> tuple[Column[str], Column[str]]:
    """Return the tenant and session, joined by a colon, and the subgraph, which is empty for the session's own
    graph."""
    return Column("thread_id", Text, nullable=False), Column(
        "checkpoint_ns", Text, nullable=False, server_default=text("''")
    )


checkpoint_migrations = Table(
    "checkpoint_migrations", metadata, Column("v", Integer, primary_key=True, autoincrement=False)
)

checkpoints = Table(
    "checkpoints",
    metadata,
    *_thread(),
    Column("checkpoint_id", Text, nullable=False),
    Column("parent_checkpoint_id", Text),
    Column("type", Text),
    Column("checkpoint", JSONB, nullable=False),
    Column("metadata", JSONB, nullable=False, server_default=text("'{}'")),
    PrimaryKeyConstraint("thread_id", "checkpoint_ns", "checkpoint_id"),
    Index("checkpoints_thread_id_idx", "thread_id"),
)

checkpoint_blobs = Table(
    "checkpoint_blobs",
    metadata,
    *_thread(),
    Column("channel", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("blob", LargeBinary),
    PrimaryKeyConstraint("thread_id", "checkpoint_ns", "channel", "version"),
    Index("checkpoint_blobs_thread_id_idx", "thread_id"),
)

checkpoint_writes = Table(
    "checkpoint_writes",
    metadata,
    *_thread(),
    Column("checkpoint_id", Text, nullable=False),
    Column("task_id", Text, nullable=False),
    Column("idx", Integer, nullable=False),
    Column("channel", Text, nullable=False),
    Column("type", Text),
    Column("blob", LargeBinary, nullable=False),
    Column("task_path", Text, nullable=False, server_default=text("''")),
    PrimaryKeyConstraint("thread_id", "checkpoint_ns", "checkpoint_id", "task_id", "idx"),
    Index("checkpoint_writes_thread_id_idx", "thread_id"),
)
