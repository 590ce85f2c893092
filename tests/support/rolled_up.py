"""Adds up the ledger by hour and by day in plain SQL, to compare with `roll_up`."""

import psycopg

from shared.db.engine import Row
from shared.db.schema.columns import TOKENS

_SUMS = ", ".join(f"sum({name})" for name in (*TOKENS, "amount_usd"))
_GROUPS = "tenant_id, agent_key, model_alias, purpose, account, kind, reason, api_key_id, provider"
_COLUMNS = f"start, user_id, {_GROUPS}, calls, {', '.join(TOKENS)}, amount_usd"


def _span(table: str, span: str) -> str:
    start = f"date_trunc('{span}', created_at, 'UTC')"
    # Rows that a test planted have no turn, so they have no user.
    return f"""
        INSERT INTO {table} ({_COLUMNS})
        SELECT {start}, coalesce(user_id, 'user-1'), {_GROUPS}, count(*) FILTER (WHERE kind = 'post'), {_SUMS}
        FROM usage_entries WHERE created_at < date_trunc('{span}', now() - interval '15 minutes', 'UTC')
        GROUP BY 1, 2, {_GROUPS}"""


def finish(owner: psycopg.Connection[Row]) -> None:
    """Fill the tables of this release up to the last whole hour, unless `roll_up` has filled them."""
    if owner.execute("SELECT FROM usage_rolled_up").rowcount:
        return
    for table, span in (("usage_hours", "hour"), ("usage_days", "day")):
        owner.execute(_span(table, span).encode())
    owner.execute("INSERT INTO usage_rolled_up VALUES (true, date_trunc('hour', now() - interval '15 minutes', 'UTC'))")
