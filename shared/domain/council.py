"""A council as a resource: its agents, and how it works."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Council:
    """`chair_key` is the agent that concludes in mode `council`. None: the first of `agent_keys`."""

    key: str
    version: int
    name: str
    mode: str
    agent_keys: tuple[str, ...]
    fan_out: str
    chair_key: str | None
