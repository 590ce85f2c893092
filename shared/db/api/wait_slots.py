"""Bound how many requests of a tenant wait at once.

A wait is a lease of one of the tenant's slots. A killed function frees its slot by itself."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from shared.db.engine import Database, Params
from shared.db.statement import load
from shared.errors import DatabaseUnavailable

# Each wait occupies a process of the function that serves all tenants.
SLOTS = 8
# Longer than the longest wait, 20 s.
LEASE_S = 25.0
_TAKE = load("take_wait")
_END = load("end_wait")

logger = logging.getLogger(__name__)


@contextmanager
def wait_slot(db: Database, tenant_id: str, lease_s: float = LEASE_S) -> Iterator[bool]:
    """Take one of the tenant's slots until the block ends, for `lease_s` seconds at most. False when none is free, or
    the database fails."""
    lease = _take(db, tenant_id, lease_s)
    try:
        yield lease is not None
    finally:
        if lease is not None:
            _end(db, tenant_id, lease)


def _take(db: Database, tenant_id: str, lease_s: float) -> Params | None:
    """The slot, and until when it is taken."""
    params = {"b_tenant_id": tenant_id, "b_slots": SLOTS, "b_lease_s": lease_s}
    try:
        (row,) = db.run(tenant_id, _TAKE, params)
    except (psycopg.Error, DatabaseUnavailable) as error:
        logger.warning("no wait", extra={"error": type(error).__name__})
        return None
    return {f"b_{name}": value for name, value in row.items()} or None


def _end(db: Database, tenant_id: str, lease: Params) -> None:
    try:
        db.run(tenant_id, _END, {"b_tenant_id": tenant_id, **lease})
    except (psycopg.Error, DatabaseUnavailable) as error:
        # The lease lapses.
        logger.warning("wait not ended", extra={"error": type(error).__name__})
