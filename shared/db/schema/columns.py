"""The tables' metadata, and columns that several tables have."""

from collections.abc import Sequence

from sqlalchemy import BigInteger, Boolean, Column, Computed, DateTime, ForeignKeyConstraint, MetaData, Text, func, text

TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
# The counts that a price depends on: the classes, and the tokens written to a cache for an hour.
COUNTS = (*TOKENS, "cache_write_1h_tokens")

Time = DateTime(timezone=True)
metadata = MetaData()


def now() -> Column[object]:
    return Column("created_at", Time, nullable=False, server_default=func.clock_timestamp())


def derived(name: str, of_type: type[Boolean] | type[Text], expression: str) -> Column[object]:
    """Return a column that Postgres computes when it is read. Operations read it instead of the text."""
    return Column(name, of_type, Computed(expression, persisted=False))


def tokens() -> list[Column[int]]:
    return _numbers(TOKENS)


def counts() -> list[Column[int]]:
    return _numbers(COUNTS)


def _numbers(names: Sequence[str]) -> list[Column[int]]:
    return [Column(name, BigInteger, nullable=False, server_default=text("0")) for name in names]


def of_a_turn(table: str) -> ForeignKeyConstraint:
    """Return a foreign key with the tenant, because foreign keys ignore row-level security."""
    return ForeignKeyConstraint(
        ["turn_id", "tenant_id"], ["turns.id", "turns.tenant_id"], name=f"{table}_turn_id_tenant_id_fkey"
    )
