"""What a queue carries: which turn of which tenant waits for somebody to run it."""

import hashlib
import json
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class TurnMessage:
    """Where a turn is found. Only the deployment itself sends these: the tenant in it is trusted. The function for
    graphs runs the turn if `is_graph`, and the worker runs every other turn."""

    turn_id: UUID
    tenant_id: str
    is_graph: bool = False

    @property
    def group(self) -> str:
        """The tenant's message group, from 64 hexadecimal digits: a tenant's id may have any length and characters."""
        return hashlib.sha256(self.tenant_id.encode()).hexdigest()

    def as_json(self) -> str:
        kind = {"is_graph": True} if self.is_graph else {}
        return json.dumps({"turn_id": str(self.turn_id), "tenant_id": self.tenant_id, **kind})

    @classmethod
    def from_json(cls, text: str) -> "TurnMessage":
        """Raises ValueError, KeyError, TypeError, AttributeError or RecursionError for anything else."""
        read = json.loads(text)
        # The release before sends no kind.
        return cls(UUID(read["turn_id"]), str(read["tenant_id"]), read.get("is_graph") is True)
