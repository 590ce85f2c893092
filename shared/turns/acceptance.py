"""Accept a turn, and tell its refusals apart. A refusal writes nothing.

A unique violation means that another request was faster. It is no error to the client: the caller loads again, and
finds the turn under its key, an active turn, or the next index.
"""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg

from shared.db.engine import Database, Params
from shared.db.protocol import ACCEPT, LOAD_SAME_REQUEST, REFUSED_MONEY, REFUSED_OTHERS_FASTER
from shared.errors import DatabaseUnavailable, JournalUnavailable, TurnConflict
from shared.turns.chat_request import SAME_REQUEST_RETRY_S

# Another turn of the session, or of the key, was inserted first.
_FASTER = (
    "turns_one_active_per_session",
    "turns_session_id_turn_index_key",
    "turns_idempotency_key_tenant_id_key",
)
_SAME_REQUEST = "turns_one_active_per_request"


class Stale(Exception):
    """The session moved on or a version of an agent was deleted between loading and accepting; load again."""


class Renamed(Exception):
    """The name of a new session's conversation means another session than when it was found; find it again."""


class RefusedHold(Exception):
    """The tenant's budget does not cover the turn's first agent."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """When the turn was accepted, by the database's clock, and this process's clock at some moment after. `held_by` is
    the payer that holds the first call's reserve, None if the turn was accepted without a call."""

    created_at: datetime
    database_now: datetime
    monotonic: float
    held_by: str | None = None

    def now(self) -> datetime:
        """The database's clock, carried on by this process's: leases and times never depend on the host's."""
        return self.database_now + timedelta(seconds=time.monotonic() - self.monotonic)


def accept(db: Database, tenant_id: str, params: Params) -> Accepted:
    """Accept a turn, with its first call where `params` have one. Raises Stale, Renamed, TurnConflict if a turn of
    the same request is active, RefusedHold, and JournalUnavailable where nothing can be written down."""
    try:
        row = db.run(tenant_id, ACCEPT, params)[0]
    except psycopg.errors.UniqueViolation as error:
        if error.diag.constraint_name == _SAME_REQUEST:
            raise _same_request(db, tenant_id, params) from error
        if error.diag.constraint_name not in _FASTER:
            raise JournalUnavailable from error
        raise Stale from error
    except psycopg.Error as error:
        if error.sqlstate in REFUSED_MONEY:
            raise RefusedHold from error
        # Other requests of the tenant were faster. The next load says what they have changed.
        if error.sqlstate in REFUSED_OTHERS_FASTER:
            raise Stale from error
        raise JournalUnavailable from error
    except DatabaseUnavailable as error:
        raise JournalUnavailable from error
    if params["m_origin"] is not None and "made" not in row:
        raise Renamed
    if "created_at" not in row:
        raise Stale
    return Accepted(row["created_at"], row["now"], time.monotonic(), row.get("held_by"))


def _same_request(db: Database, tenant_id: str, params: Params) -> Exception:
    """The refusal of a request that a turn already runs for. Stale if that turn has ended since."""
    try:
        active = db.read(tenant_id, LOAD_SAME_REQUEST, {"b_request_hash": params["t_request_hash"]})
    except DatabaseUnavailable:
        return JournalUnavailable()
    if not active:
        return Stale()
    return TurnConflict(str(active[0]["id"]), retry_after_s=SAME_REQUEST_RETRY_S)
