"""A provider's own record of one call."""

from dataclasses import dataclass, field
from uuid import UUID

from shared.domain.money import Usage


@dataclass(frozen=True, slots=True)
class ProviderRecord:
    """`call_id` is ours, which the call carried. A call that was not billed has no usage."""

    call_id: UUID
    billed: bool
    usage: Usage = field(default_factory=Usage)
