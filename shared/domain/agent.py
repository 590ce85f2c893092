"""An agent at one version. A turn pins the version, whose text never changes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

# The cap of an agent without its own: the column's highest number. The alias's cap is always lower.
NO_CAP: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Agent:
    """`model_alias` names an entry of the catalog. `max_output_tokens` is NO_CAP for the alias's cap."""

    key: str
    version: int
    name: str
    role_prompt: str
    model_alias: str
    max_output_tokens: int
    temperature: float | None
    enabled: bool


def stored_fields(fields: Mapping[str, object]) -> dict[str, object]:
    """Return the columns of an agent. A `max_output_tokens` of None means the alias's cap."""
    tokens = fields["max_output_tokens"]
    return {**fields, "max_output_tokens": NO_CAP if tokens is None else tokens}
