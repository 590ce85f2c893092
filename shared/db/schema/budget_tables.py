"""Tables of budgets: the amounts that a payer holds and spends in a month, and its limits.

A payer is `tenant:<tenant id>`, or `platform:<tenant id>` for the platform's cost for that tenant. Its month is one
exact row, which a hold, a publish or an adjustment locks until its commit.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    Identity,
    Index,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    func,
    text,
)

from shared.db.schema.columns import Time, metadata

# The whole platform: the payer of its limit. Releases before 0012 also count its spending in it.
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

# The part of a month's holds that is no reserve of an open call. A turn has one from its acceptance until its first
# agent is asked (`id` is the turn's). A posted call of unknown outcome has one, too (`id` is the call's).
budget_holds = Table(
    "budget_holds",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("payer", Text, nullable=False),
    Column("period", Date, nullable=False),
    Column("held_usd", Numeric, nullable=False),
    CheckConstraint("reason IN ('accepted', 'suspense')", name="budget_holds_reason_check"),
    CheckConstraint("held_usd >= 0", name="budget_holds_money_check"),
    CheckConstraint("payer IN ('tenant:' || tenant_id, 'platform:' || tenant_id)", name="budget_holds_payer_check"),
    Index("budget_holds_payer_period_idx", "payer", "period"),
)

# Empty. Only the release before 0014 reads it.
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

# The lower of the two limits binds in every month. A tenant's administrator sets its limit; the operator sets caps and
# the platform's limit. The default caps are PANTHEON_DEFAULT_CAP_USD for a tenant, and PANTHEON_PLATFORM_ALLOWANCE_USD
# for the platform's share for a tenant.
budget_limits = Table(
    "budget_limits",
    metadata,
    Column("payer", Text, primary_key=True),
    Column("limit_usd", Numeric),
    Column("cap_usd", Numeric),
    CheckConstraint("limit_usd >= 0 AND limit_usd < 'Infinity'", name="budget_limits_limit_check"),
    CheckConstraint("cap_usd >= 0 AND cap_usd < 'Infinity'", name="budget_limits_cap_check"),
)

# The platform's spending in a month, as the sweeper measured it last. Holds compare it with the platform's limit.
platform_months = Table(
    "platform_months",
    metadata,
    Column("period", Date, primary_key=True),
    Column("spent_usd", Numeric, nullable=False),
    Column("measured_at", Time, nullable=False, server_default=func.clock_timestamp()),
)
