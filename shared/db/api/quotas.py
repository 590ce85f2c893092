"""Enforce the quotas of a tenant.

A request that adds a row locks the tenant's row before it counts, so that concurrent requests cannot exceed the quota.
"""

from typing import Final

from shared.db.statement import load
from shared.errors import QuotaExceeded

# Sent before the counting statement, in the same transaction.
LOCK_TENANT: Final = load("lock_tenant")
# Keys, including those of deleted agents, for each agent that a tenant may have. The same holds for councils. A used
# key keeps its row, so that no version number is used twice.
KEYS_PER_LIVING: Final = 10


def quota_exceeded(rows: str, limit: int, setting: str, remedy: str) -> QuotaExceeded:
    """Return the refusal of one more of `rows`, of which `setting` allows `limit`."""
    detail = f"This tenant has {limit} {rows}, and may have no more ({setting}). {remedy}"
    return QuotaExceeded(detail, quota=rows, limit=limit)
