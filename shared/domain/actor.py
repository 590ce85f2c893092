"""The actor of a request. The database uses it to decide which sessions are visible and may be changed."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Actor:
    """A user of a tenant. A member sees its own sessions and those of the whole tenant, an admin every session of the
    tenant."""

    tenant_id: str
    user_id: str
    is_admin: bool = False

    @classmethod
    def service(cls, tenant_id: str) -> Self:
        """Pantheon itself, which reads the turns that it runs for any user of the tenant. Never for a request."""
        return cls(tenant_id, "", is_admin=True)

    @property
    def params(self) -> dict[str, object]:
        """The parameters of the predicates that name the actor."""
        return {"a_user_id": self.user_id, "a_is_admin": self.is_admin, "a_is_service": not self.user_id}
