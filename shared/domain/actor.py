"""The actor of a request. The database derives from it which sessions are visible and may be changed."""

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
        """Return Pantheon itself, which may read the turns that it runs. Never use it for a request."""
        return cls(tenant_id, "", is_admin=True)

    @property
    def params(self) -> dict[str, object]:
        """The parameters of the visibility predicates."""
        return {"a_user_id": self.user_id, "a_is_admin": self.is_admin, "a_is_service": not self.user_id}
