"""What operations have read of the provider's own log. No tenant's: the application's role has no business with it."""

from sqlalchemy import BigInteger, Column, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY

from shared.db.schema.columns import Time, metadata

# The hours (UTC) that were read, or are being read.
invocation_log_hours = Table(
    "invocation_log_hours",
    metadata,
    Column("hour", Time, primary_key=True),
    # When the reading began that `last_key`, `models` and `unreadable` are of; `read_at` says that it came to the end.
    Column("started_at", Time, nullable=False),
    Column("last_key", Text),
    # Of which models calls that were made in this hour were found.
    Column("models", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("unreadable", BigInteger, nullable=False, server_default=text("0")),
    Column("read_at", Time),
)
