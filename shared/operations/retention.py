"""Delete sessions that were not touched for long, and remove API keys that ended long ago. Sessions of chat programs
and plain calls have their own retention time.

Each session is deleted in its own transaction, as a client would delete it, so locks are short. The conditions are
checked again under the session's lock, so a session in use is kept. Each function here raises DatabaseUnavailable if a
statement does not end in time.
"""

import time

from shared.db.api.api_keys import remove_ended_keys
from shared.db.api.sessions import load_untouched_sessions, record_session_expiry
from shared.db.engine import Database

_BATCH = 100
_KEYS = 1000


def delete_untouched(db: Database, days: int | None, seconds: float, *, implicit: bool = False) -> int:
    """Delete all tenants' sessions that were not touched for `days`, oldest first, within `seconds`. Returns how many
    were deleted; the next run continues.

    `days` None keeps all. `implicit`: only sessions of chat programs and plain calls. `db` has the role for operations.
    """
    if days is None:
        return 0
    until, deleted = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        gone = _delete_batch(db, days, until, implicit=implicit)
        if not gone:
            break
        deleted += gone
    return deleted


def _delete_batch(db: Database, days: int, until: float, *, implicit: bool) -> int:
    gone = 0
    for row in load_untouched_sessions(db, days, _BATCH, until - time.monotonic(), implicit=implicit):
        if (left := until - time.monotonic()) <= 0:
            break
        gone += record_session_expiry(db, row["tenant_id"], row["id"], days, left)
    return gone


def remove_keys(db: Database, seconds: float) -> int:
    """Remove all tenants' API keys that were revoked or expired 90 days ago, at most one statement's batch. `db` has
    the role for operations. Returns how many were removed; the next run continues."""
    return remove_ended_keys(db, _KEYS, seconds)
