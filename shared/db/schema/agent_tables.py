"""Tables of agents and councils. An agent's version never changes, and a turn pins the versions that it uses."""

from sqlalchemy import Boolean, Column, Double, Integer, PrimaryKeyConstraint, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY

from shared.db.schema.columns import Time, metadata, now

agents = Table(
    "agents",
    metadata,
    Column("tenant_id", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("deleted_at", Time),
    now(),
    PrimaryKeyConstraint("tenant_id", "key"),
)

agent_versions = Table(
    "agent_versions",
    metadata,
    Column("tenant_id", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("role_prompt", Text, nullable=False),
    Column("model_alias", Text, nullable=False),
    Column("max_output_tokens", Integer, nullable=False),
    Column("temperature", Double),
    Column("enabled", Boolean, nullable=False),
    now(),
    # Whether a turn has pinned it. A pinned version is never deleted.
    Column("pinned", Boolean, nullable=False, server_default=text("true")),
    PrimaryKeyConstraint("tenant_id", "key", "version"),
)

councils = Table(
    "councils",
    metadata,
    Column("tenant_id", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("agent_keys", ARRAY(Text), nullable=False),
    Column("fan_out", Text, nullable=False),
    # The agent that concludes in mode `council`. NULL: the first of `agent_keys`.
    Column("chair_key", Text),
    Column("version", Integer, nullable=False),
    Column("deleted_at", Time),
    now(),
    PrimaryKeyConstraint("tenant_id", "key"),
)
