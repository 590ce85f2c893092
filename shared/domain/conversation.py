"""What a turn starts from: the agents that may answer, what was said before, and the message."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from shared.domain.agent import Agent
from shared.domain.summary import Summary


class Said(NamedTuple):
    """One agent's finished reply. A tuple, as a past turn is: many of them are made in every turn."""

    agent_key: str
    name: str
    text: str


class Spoken(NamedTuple):
    """A message of a prompt that a graph makes. `agent_key` says whose text an assistant's message is, if it is known;
    empty: the asked agent's own."""

    role: Literal["system", "user", "assistant", "tool"]
    text: str
    agent_key: str = ""


class PastTurn(NamedTuple):
    """`together`: the agents were asked at the same time, and none saw another's reply."""

    message: str
    replies: tuple[Said, ...]
    turn_index: int = 0
    together: bool = False


@dataclass(frozen=True, slots=True)
class Options:
    """How the agents are asked in one turn: their output cap in tokens at most, and the temperature of those that have
    none. `messages` are the whole prompt of a call without a session."""

    max_output_tokens: int | None = None
    temperature: float | None = None
    messages: tuple[Mapping[str, str], ...] | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """`roster` holds the enabled agents by key, in the session's order; `history` is oldest first.
    `parallel`: agents that do not depend on each other are asked at the same time. `summary` is the newest,
    and stands for the turns up to its index. `chair_key` is who concludes in mode `council`; None: the first.
    `instructions` are the chat program's system messages."""

    roster: Mapping[str, Agent]
    history: tuple[PastTurn, ...]
    message: str
    requested_agent_keys: tuple[str, ...] | None = None
    parallel: bool = False
    summary: Summary | None = None
    chair_key: str | None = None
    options: Options = Options()
    instructions: str | None = None

    @property
    def chair(self) -> str:
        """The key of the agent that concludes."""
        return self.chair_key or next(iter(self.roster))

    @property
    def summarised_turns(self) -> int:
        """The number of turns that the summary stands for."""
        return self.summary.through_turn_index if self.summary else 0

    def unsummarised(self) -> tuple[PastTurn, ...]:
        """The turns of `history` that the summary does not stand for."""
        through = self.summarised_turns
        return tuple(turn for turn in self.history if turn.turn_index > through or not through)
