"""An agent at one version. Its text never changes under a turn that has pinned that version."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

# Stands for an agent that has no cap of its own: the highest number of the column. The alias's cap is always lower.
NO_CAP: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Agent:
    """`model_alias` names an entry of the catalog; `max_output_tokens` is in tokens, `NO_CAP` for the alias's cap."""

    key: str
    version: int
    name: str
    role_prompt: str
    model_alias: str
    max_output_tokens: int
    temperature: float | None
    enabled: bool


def stored_fields(fields: Mapping[str, object]) -> dict[str, object]:
    """The columns of an agent of these fields, in which a `max_output_tokens` of None is the alias's cap."""
    tokens = fields["max_output_tokens"]
    return {**fields, "max_output_tokens": NO_CAP if tokens is None else tokens}
