"""Quotas of a tenant.

A request that adds to a quota locks the tenant's row before it counts, so that requests of one moment never exceed it.
"""

from typing import Final

from shared.db.statement import load
from shared.errors import QuotaExceeded

# Sent before the statement that counts, in the same transaction.
LOCK_TENANT: Final = load("lock_tenant")
# Keys that a tenant may use, those of deleted agents included, for each agent that it may have. The same holds for
# councils. A used key keeps its row, so that no version number is used twice.
KEYS_PER_LIVING: Final = 10


def quota_exceeded(rows: str, limit: int, setting: str, remedy: str) -> QuotaExceeded:
    """The refusal of one more of `rows`, of which `setting` allows `limit`."""
    detail = f"This tenant has {limit} {rows}, and may have no more ({setting}). {remedy}"
    return QuotaExceeded(detail, quota=rows, limit=limit)
