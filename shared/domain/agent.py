"""An agent at one version. Its text never changes under a turn that has pinned that version."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Agent:
    """`model_alias` names an entry of the catalog; `max_output_tokens` is in tokens."""

    key: str
    version: int
    name: str
    role_prompt: str
    model_alias: str
    max_output_tokens: int
    temperature: float | None
    enabled: bool
