"""Retention: delete sessions that nobody has touched for long, and remove API keys that ended long ago. Sessions that
no person made, those of chat programs and plain calls, have a time of their own.

A session is deleted as its client would delete it. Each is deleted in its own transaction, so locks stay short. The
conditions are checked again under the session's lock, so a session in use is kept. Each function here raises
DatabaseUnavailable if a statement does not end in time.
"""

import time

from shared.db.api.api_keys import remove_ended_keys
from shared.db.api.sessions import load_untouched_sessions, record_session_expiry
from shared.db.engine import Database

_BATCH = 100
_KEYS = 1000


def delete_untouched(db: Database, days: int | None, seconds: float, *, implicit: bool = False) -> int:
    """Delete the sessions of every tenant that nobody has touched for `days`, oldest first, for so many seconds at
    most; None keeps all. `implicit`: only those that no person made. `db` is in the role for operations. Returns how
    many went. What is left is for the next run."""
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
    """Remove API keys of every tenant that were revoked or expired 90 days ago, at most as many as one statement
    removes quickly. `db` is in the role for operations. Returns how many went. The next run goes on."""
    return remove_ended_keys(db, _KEYS, seconds)
