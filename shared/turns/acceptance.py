"""Running a statement that accepts a turn, and what its refusals mean.

Every unique violation is somebody who was faster, never an error to the client: the caller loads again, and finds the
turn under its key, an active one, or the next index. Nothing was written in any of these cases.
"""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg

from shared.db.engine import Database, Params, Statement
from shared.errors import BudgetExceeded, DatabaseUnavailable, JournalUnavailable

# The intent's payer is NULL where the budget refused its hold.
_REFUSED_HOLD = ("llm_calls", "payer")
# Another turn of the session, or of the key, was inserted first.
_FASTER = ("turns_one_active_per_session", "turns_session_id_turn_index_key", "turns_idempotency_key_tenant_id_key")


class Stale(Exception):
    """The session moved on between loading and accepting; load again."""


class RefusedHold(Exception):
    """The payer's budget does not cover the reserve."""


def is_refused_hold(error: psycopg.errors.NotNullViolation) -> bool:
    return (error.diag.table_name, error.diag.column_name) == _REFUSED_HOLD


@dataclass(frozen=True, slots=True)
class Accepted:
    """When the turn was accepted, by the database's clock, and this process's clock at some moment after."""

    created_at: datetime
    database_now: datetime
    monotonic: float

    def now(self) -> datetime:
        """The database's clock, carried on by this process's: leases and times never depend on the host's."""
        return self.database_now + timedelta(seconds=time.monotonic() - self.monotonic)


def accept(db: Database, tenant_id: str, statement: Statement, params: Params) -> Accepted:
    """Run ACCEPT or ACCEPT_AND_OPEN. Raises Stale, RefusedHold, BudgetExceeded where the tenant has nothing left, and
    JournalUnavailable where nothing can be written down."""
    try:
        row = db.run(tenant_id, statement, params)[0]
    except psycopg.errors.UniqueViolation as error:
        if error.diag.constraint_name not in _FASTER:
            raise JournalUnavailable from error
        raise Stale from error
    except psycopg.errors.NotNullViolation as error:
        if not is_refused_hold(error):
            raise JournalUnavailable from error
        raise RefusedHold from error
    except (psycopg.Error, DatabaseUnavailable) as error:
        raise JournalUnavailable from error
    if row["created_at"] is None:
        raise BudgetExceeded if row["locked"] else Stale
    return Accepted(row["created_at"], row["now"], time.monotonic())
