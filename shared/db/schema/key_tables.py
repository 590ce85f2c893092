"""The table of API keys. The key itself is never stored, and only the authorizer looks up a key by its hash."""

from sqlalchemy import CheckConstraint, Column, Index, LargeBinary, Table, Text, UniqueConstraint, Uuid, text

from shared.db.schema.columns import Time, metadata, now

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    # The first characters of the key, by which people recognise it.
    Column("prefix", Text, nullable=False),
    # SHA-256.
    Column("key_hash", LargeBinary, nullable=False),
    # The user that the key acts as.
    Column("created_by", Text, nullable=False),
    now(),
    Column("expires_at", Time),
    # The time of use, written at most once a minute.
    Column("last_used_at", Time),
    Column("revoked_at", Time),
    CheckConstraint("role IN ('member', 'admin')", name="api_keys_role_check"),
    CheckConstraint("prefix ~ '^pan_[0-9A-Za-z]{8}$'", name="api_keys_prefix_check"),
    CheckConstraint("octet_length(key_hash) = 32", name="api_keys_key_hash_check"),
    UniqueConstraint("key_hash", name="api_keys_key_hash_key"),
    Index("api_keys_tenant_id_id_idx", "tenant_id", "id"),
    Index("api_keys_created_by_idx", "tenant_id", "created_by", "id"),
    # For the removal of keys that ended long ago.
    Index("api_keys_ended_at_idx", text("least(revoked_at, expires_at)")),
)
