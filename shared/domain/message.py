"""What the queue carries: which turn of which tenant waits for somebody to run it."""

import hashlib
import json
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class TurnMessage:
    """Where a turn is found. Only the deployment itself sends these: the tenant in it is trusted."""

    turn_id: UUID
    tenant_id: str

    @property
    def group(self) -> str:
        """The tenant's message group, from 64 hexadecimal digits: a tenant's id may have any length and characters."""
        return hashlib.sha256(self.tenant_id.encode()).hexdigest()

    def as_json(self) -> str:
        return json.dumps({"turn_id": str(self.turn_id), "tenant_id": self.tenant_id})

    @classmethod
    def from_json(cls, text: str) -> "TurnMessage":
        """Raises ValueError, KeyError, TypeError, AttributeError or RecursionError for anything else."""
        read = json.loads(text)
        return cls(UUID(read["turn_id"]), str(read["tenant_id"]))
