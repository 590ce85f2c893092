"""The ledger by the hour and by the day, so that a month is added up at once. It can be made again at any time."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, Numeric, Table, Text, UniqueConstraint

from shared.db.columns import TOKENS, Time, metadata


def _spans(name: str) -> Table:
    """The ledger's rows of a span of time and everything else that they have in common, as one row."""
    return Table(
        name,
        metadata,
        Column("tenant_id", Text, nullable=False),
        Column("start", Time, nullable=False),
        Column("agent_key", Text),
        Column("model_alias", Text, nullable=False),
        Column("purpose", Text, nullable=False),
        Column("account", Text, nullable=False),
        Column("kind", Text, nullable=False),
        # Posts: an adjustment is no call of its own.
        Column("calls", BigInteger, nullable=False),
        # A sum can be greater than what a row of the ledger can count.
        *(Column(sum_, Numeric, nullable=False) for sum_ in TOKENS),
        Column("amount_usd", Numeric, nullable=False),
        UniqueConstraint(
            "tenant_id",
            "start",
            "agent_key",
            "model_alias",
            "purpose",
            "account",
            "kind",
            name=f"{name}_key",
            postgresql_nulls_not_distinct=True,
        ),
        Index(f"{name}_start_idx", "start", postgresql_using="brin"),
    )


usage_hours = _spans("usage_hours")
# Days of UTC. The hours stay: a period may begin or end within a day.
usage_days = _spans("usage_days")

usage_rolled_up = Table(
    "usage_rolled_up",
    metadata,
    Column("only_row", Boolean, primary_key=True),
    # The start of an hour: what was posted before it is in usage_hours, and in usage_days where its day is over too.
    # Without this row, nothing is.
    Column("until", Time, nullable=False),
    CheckConstraint("only_row", name="usage_rolled_up_check"),
)
