"""What a turn starts from: the agents that may answer, what was said before, and the message."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.domain.agent import Agent


@dataclass(frozen=True, slots=True)
class Said:
    """One agent's finished reply."""

    agent_key: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class PastTurn:
    message: str
    replies: tuple[Said, ...]


@dataclass(frozen=True, slots=True)
class Conversation:
    """`roster` holds the enabled agents by key, in the session's order; `history` is oldest first.
    `parallel`: agents that do not depend on each other are asked at the same time."""

    roster: Mapping[str, Agent]
    history: tuple[PastTurn, ...]
    message: str
    requested_agent_keys: tuple[str, ...] | None = None
    parallel: bool = False
