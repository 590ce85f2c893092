"""The steps of a turn and their attempts, and the two that record them: the journal and the audience."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, Protocol
from uuid import UUID

from shared.domain.agent import Agent
from shared.domain.money import ZERO
from shared.domain.turn import Plan, Purpose, Verdict
from shared.llm.port import Completion, Message, Request


@dataclass(frozen=True, slots=True)
class Ask:
    """One step's question. `build` makes the messages for a room in estimated tokens."""

    step: int
    purpose: Purpose
    model_alias: str
    max_output_tokens: int
    temperature: float | None
    build: Callable[[int], tuple[Message, ...]]
    plan: Plan | None = None
    agent: Agent | None = None
    schema: Mapping[str, object] | None = None
    # "low": the answer needs little thinking.
    effort: Literal["low"] | None = None
    # The position in the plan of an agent's ask, from 0.
    position: int = 0
    # Whether the next prompt for this purpose and agent begins with all messages of this one.
    continues: bool = False
    # A later ask for which the turn's caps leave room. If this is the turn's first ask of an agent, its reserve is held
    # too.
    held_for: "Ask | None" = None
    # Whether the first call releases the turn's hold for this ask.
    uses_hold: bool = False
    # Identifies the prompt for a replay, also with another catalog. None: the journal hashes the request.
    prompt_hash: str | None = None

    @property
    def speaker(self) -> Agent | None:
        return self.agent if self.purpose == "agent" else None

    @property
    def is_helper(self) -> bool:
        """Whether the council asks for itself."""
        return self.agent is None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One recorded attempt. `error` is None if it gave an answer. `ended` is its outcome's time on this process's
    monotonic clock, also if another process recorded it."""

    call_id: UUID
    model_alias: str
    completion: Completion
    error: str | None
    verdict: Verdict | None = None
    cost_usd: Decimal = ZERO
    ended: float = field(default_factory=time.monotonic, compare=False)
    request_hash: str = ""


@dataclass(slots=True)
class Ended:
    """The end of a graph: its failure's code, its answer (not always a reply), and its state for the next turn as
    `publish.sql` reads it. `keep` stores the state without tables, after the publish."""

    failure: str | None = None
    answer: str | None = None
    state: str | None = None
    keep: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The turn's caps or the budget refused a call. `code` says which."""

    code: str


def answer_of(attempt: Attempt | Refused) -> Completion | str:
    """Return the answer, or the code of why there is none."""
    return attempt.code if isinstance(attempt, Refused) else attempt.error or attempt.completion


@dataclass(frozen=True, slots=True)
class Opened:
    """The first `count` calls may be sent. `refused` says why the others may not; None if there are none."""

    count: int
    refused: Refused | None = None


class Journal(Protocol):
    """Stores calls. Raises an error that ends this runner's work on the turn; never loses an outcome."""

    def attempts(self, step: int) -> Sequence[Attempt]:
        """Return the step's attempts, oldest first, without attempts that died with their process."""
        ...

    def open(
        self, asks: Sequence[tuple[Ask, Request]], held_for: Callable[[], tuple[Ask, Request]] | None = None
    ) -> Opened:
        """Write the intents of calls that start together, with the last outcome. Only the first calls that fit the caps
        and the budget are opened. Both leave room for `held_for`."""
        ...

    def close(self, call_id: UUID, completion: Completion, error: str | None, verdict: Verdict | None) -> Attempt:
        """Keep the outcome, to be written with the next intent or with the turn's end."""
        ...

    def flush(self) -> None:
        """Write the kept outcome now."""
        ...


class Audience(Protocol):
    """Follows the calls of a turn. It never blocks or raises. `said` may come from any thread."""

    def opened(self, calls: Sequence[tuple[Ask, Request]]) -> None:
        """The calls and all outcomes before them are stored. The calls are sent next."""
        ...

    def said(self, ask: Ask, text: str) -> None:
        """A piece of the reply's text has come."""
        ...

    def unsaid(self, ask: Ask) -> None:
        """No piece so far belongs to the reply."""
        ...

    def repeated(self, ask: Ask, request: Request) -> None:
        """The same call's text begins again."""
        ...

    def settled(self, ask: Ask, attempt: Attempt) -> None:
        """The attempt has a verdict. Its outcome may not be stored yet."""
        ...

    def flushed(self) -> None:
        """Every outcome so far is stored, unless the journal says otherwise."""
        ...
