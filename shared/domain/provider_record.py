"""What a provider's own record says of one call."""

from dataclasses import dataclass, field
from uuid import UUID

from shared.domain.money import Usage


@dataclass(frozen=True, slots=True)
class ProviderRecord:
    """`call_id` is ours: it went along with the call. What was not billed has no usage."""

    call_id: UUID
    billed: bool
    usage: Usage = field(default_factory=Usage)
