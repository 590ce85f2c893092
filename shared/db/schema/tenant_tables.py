"""Tables that a tenant's requests share: the row that accepting a turn locks, and wait slots."""

from sqlalchemy import Column, Integer, PrimaryKeyConstraint, Table, Text

from shared.db.schema.columns import Time, metadata, now

# Accepting a turn locks its tenant's row, so that its rate and active turns are exact. Requests that add to a quota
# lock it too.
tenants = Table("tenants", metadata, Column("tenant_id", Text, primary_key=True), now())

# Requests that wait for a turn. A wait takes a slot of its tenant until `ends_at`.
waits = Table(
    "waits",
    metadata,
    Column("tenant_id", Text, nullable=False),
    Column("slot", Integer, nullable=False),
    Column("ends_at", Time, nullable=False),
    PrimaryKeyConstraint("tenant_id", "slot"),
)
