"""The table of summaries, one row for each summary that a turn wrote."""

from sqlalchemy import Column, ForeignKeyConstraint, Integer, Table, Text, UniqueConstraint, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from shared.db.schema.columns import metadata, now, of_a_turn

summaries = Table(
    "summaries",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Text, nullable=False),
    Column("session_id", Uuid, nullable=False),
    Column("turn_id", Uuid, nullable=False),
    Column("through_turn_index", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("key_facts", JSONB, nullable=False),
    Column("decisions", JSONB, nullable=False),
    Column("open_questions", JSONB, nullable=False),
    Column("action_items", JSONB, nullable=False),
    # The texts of `archive` by list. Only the release before reads them.
    Column("archived", JSONB, nullable=False),
    Column("fallbacks", JSONB, nullable=False),
    now(),
    # [{"id", "list", "text", "turn_index"}] in memory, oldest first. NULL in rows of a release before 0011.
    Column("items", JSONB),
    # The items that left memory with this summary: the same fields, and "reason" and "successor".
    Column("archive", JSONB),
    # {list: the highest number that any of its ids ever had}.
    Column("last_numbers", JSONB),
    UniqueConstraint("session_id", "through_turn_index", name="summaries_session_id_through_turn_index_key"),
    of_a_turn("summaries"),
    ForeignKeyConstraint(
        ["tenant_id", "session_id"], ["sessions.tenant_id", "sessions.id"], name="summaries_tenant_id_session_id_fkey"
    ),
)
