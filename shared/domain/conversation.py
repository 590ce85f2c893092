"""The input of a turn: the agents that may answer, the history, and the message."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from shared.domain.agent import Agent
from shared.domain.summary import Summary


class Said(NamedTuple):
    """One agent's finished reply. A tuple, because every turn makes many of them."""

    agent_key: str
    name: str
    text: str


class Spoken(NamedTuple):
    """A message of a graph's prompt. `agent_key` is the author of an assistant's message; empty: the asked agent."""

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
    """The options of one turn's calls: an upper limit for output caps in tokens, and the temperature of agents without
    one. `messages` are the whole prompt of a plain call."""

    max_output_tokens: int | None = None
    temperature: float | None = None
    messages: tuple[Mapping[str, str], ...] | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """`roster` holds the enabled agents by key, in the session's order. `history` is oldest first.

    With `parallel`, independent agents are asked at the same time. `summary` is the newest one, and replaces the turns
    up to its index. `chair_key` is the agent that concludes in mode `council`; None: the first. `instructions` are the
    chat program's system messages."""

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
        return self.chair_key or next(iter(self.roster))

    @property
    def summarised_turns(self) -> int:
        return self.summary.through_turn_index if self.summary else 0

    def unsummarised(self) -> tuple[PastTurn, ...]:
        """Return the turns of `history` that the summary does not replace."""
        through = self.summarised_turns
        return tuple(turn for turn in self.history if turn.turn_index > through or not through)
