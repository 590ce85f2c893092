"""The progress of reading the provider's log. It belongs to no tenant, and the application's role cannot access it."""

from sqlalchemy import BigInteger, Column, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY

from shared.db.schema.columns import Time, metadata

# The hours (UTC) that were read, or are being read.
invocation_log_hours = Table(
    "invocation_log_hours",
    metadata,
    Column("hour", Time, primary_key=True),
    # The start of the reading that `last_key`, `models` and `unreadable` describe. `read_at` is its end.
    Column("started_at", Time, nullable=False),
    Column("last_key", Text),
    # The models with calls in this hour.
    Column("models", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("unreadable", BigInteger, nullable=False, server_default=text("0")),
    Column("read_at", Time),
)
