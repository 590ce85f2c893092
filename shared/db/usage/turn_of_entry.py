"""Who posted the turn of a ledger row."""

from sqlalchemy import select
from sqlalchemy.sql.selectable import LateralFromClause

from shared.db.schema.tables import turns, usage_ledger


def turn_of_entry() -> LateralFromClause:
    """`user_id` and `api_key_id` of the turn of each row of `usage_ledger`, to join with it."""
    # The limit keeps Postgres from a hash join, which would scan the turns of all tenants. It looks up each turn by id.
    turn = select(turns.c.user_id, turns.c.api_key_id).where(turns.c.id == usage_ledger.c.turn_id).limit(1)
    return turn.lateral("turn")
