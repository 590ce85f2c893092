"""The message that a queue carries: a turn to be run."""

import hashlib
import json
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class TurnMessage:
    """Identifies a turn. Only the deployment itself sends messages, so the tenant is trusted. The function for graphs
    runs the turn if `is_graph`, the worker any other turn."""

    turn_id: UUID
    tenant_id: str
    is_graph: bool = False

    @property
    def group(self) -> str:
        """The tenant's message group: 64 hexadecimal digits, because a tenant's id may have any length and
        characters."""
        return hashlib.sha256(self.tenant_id.encode()).hexdigest()

    def as_json(self) -> str:
        kind = {"is_graph": True} if self.is_graph else {}
        return json.dumps({"turn_id": str(self.turn_id), "tenant_id": self.tenant_id, **kind})

    @classmethod
    def from_json(cls, text: str) -> "TurnMessage":
        """Read a message. Raises ValueError, KeyError, TypeError, AttributeError or RecursionError for any other
        text."""
        read = json.loads(text)
        # The release before sends no `is_graph`.
        return cls(UUID(read["turn_id"]), str(read["tenant_id"]), read.get("is_graph") is True)
