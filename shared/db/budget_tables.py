"""The tables of budgets: what is held and spent by month, and what it may come to until that is changed.

What a month comes to is its row and its settlements together. Whoever wants to know reads `budget_months`.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    Identity,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    column,
    table,
    text,
)

from shared.db.columns import metadata

# The payer of what no tenant pays for. A tenant is the payer 'tenant:<tenant_id>'.
PLATFORM = "platform"

budgets = Table(
    "budgets",
    metadata,
    Column("payer", Text, nullable=False),
    Column("period", Date, nullable=False),
    Column("held_usd", Numeric, nullable=False, server_default=text("0")),
    Column("spent_usd", Numeric, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("payer", "period"),
)

# What was held, released and spent while somebody had the month's row, until the next hold takes it into that row.
budget_settlements = Table(
    "budget_settlements",
    metadata,
    Column("payer", Text, nullable=False),
    Column("period", Date, nullable=False),
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("held_usd", Numeric, nullable=False),
    Column("spent_usd", Numeric, nullable=False),
    PrimaryKeyConstraint("payer", "period", "id"),
)

# A view: the sums of both.
budget_months = table(
    "budget_months",
    column("payer", Text),
    column("period", Date),
    column("held_usd", Numeric),
    column("spent_usd", Numeric),
)

# What a payer may spend in any month: the lesser of the two, and anything where both are NULL. A tenant's administrator
# sets its limit; the operator sets every cap, and the platform's limit.
budget_limits = Table(
    "budget_limits",
    metadata,
    Column("payer", Text, primary_key=True),
    Column("limit_usd", Numeric),
    Column("cap_usd", Numeric),
    CheckConstraint("limit_usd >= 0 AND limit_usd < 'Infinity'", name="budget_limits_limit_check"),
    CheckConstraint("cap_usd >= 0 AND cap_usd < 'Infinity'", name="budget_limits_cap_check"),
)
