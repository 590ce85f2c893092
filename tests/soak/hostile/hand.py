"""Interferes with a turn while one of its calls is under way, over a connection of its own."""

import threading
from uuid import UUID

import psycopg

from shared.db.api.history import record_cancel
from shared.db.api.sessions import record_session_deletion
from shared.db.engine import Database
from shared.domain.actor import Actor
from shared.errors import NotFound, TurnEnded


class Hand:
    """Shared by the threads of one process."""

    def __init__(self, app_url: str, owner_url: str) -> None:
        self._db, self._lock = Database(app_url), threading.Lock()
        self._owner = psycopg.connect(owner_url, autocommit=True)

    def cancel(self, tenant: str, turn_id: UUID) -> None:
        with self._lock:
            try:
                record_cancel(self._db, Actor.service(tenant), turn_id)
            except (NotFound, TurnEnded):
                return

    def delete(self, tenant: str, session_id: UUID) -> None:
        with self._lock:
            try:
                record_session_deletion(self._db, Actor.service(tenant), session_id)
            except NotFound:
                return

    def expire_lease(self, turn_id: UUID) -> None:
        """End the lease of the turn's runner, so that a worker may claim the turn at once."""
        self._owner.execute(
            b"UPDATE turns SET lease_expires_at = clock_timestamp() - interval '1 second' "
            b"WHERE id = %s AND status = 'running'",
            (turn_id,),
        )
