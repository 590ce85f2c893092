"""Look up API keys for the authorizer, in the role that sees one key by its hash.

SQLAlchemy is not imported here, because each cold start would pay for it.
"""

from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

from shared.db.engine import Database
from shared.db.statement import load

FIND_API_KEY: Final = load("find_api_key")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A valid key. It acts as the user `created_by` of its tenant, with `role`."""

    id: UUID
    tenant_id: str
    created_by: str
    role: Literal["member", "admin"]


def find_api_key(db: Database, key_hash: bytes) -> ApiKey | None:
    """Return the key with this hash. None if there is none, or if it is revoked or expired by the database's clock.

    The time of use is written once a minute. `db` is in the role `pantheon_auth`. Raises DatabaseUnavailable."""
    # A retry after a lost connection writes no second use.
    row = db.read(None, FIND_API_KEY, {"b_key_hash": key_hash})[0]
    if "id" not in row:
        return None
    return ApiKey(row["id"], row["tenant_id"], row["created_by"], row["role"])
