"""Keeps a journal in memory, for tests of the code that uses one."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from uuid import UUID

from shared.domain.money import cost
from shared.domain.turn import Verdict
from shared.llm.port import Completion, Request
from shared.orchestration.steps import Ask, Attempt, Opened, Refused

_NOTHING: Mapping[int, Sequence[Attempt]] = MappingProxyType({})


class MemoryJournal:
    """`known` are the attempts of each step that another process has left; `holds` is how many calls the budget
    covers. `asks` and `opened` are the intents, `closed` their outcomes, and `log` has all that happened, in order.
    `held_for` are the later calls for which money was held."""

    def __init__(self, known: Mapping[int, Sequence[Attempt]] = _NOTHING, *, holds: int = 99) -> None:
        self.known = known
        self.holds = holds
        self.asks: list[Ask] = []
        self.opened: list[Request] = []
        self.closed: list[Attempt] = []
        self.log: list[str] = []
        self.held_for: list[tuple[Ask, Request]] = []
        # How many of `closed` would survive this process.
        self._written = 0

    def resumed(self) -> "MemoryJournal":
        """The journal that the next process finds: without outcomes that this one has not written."""
        self.closed = self.closed[: self._written]
        known = {step: self.attempts(step) for step in {*self.known, *(ask.step for ask in self.asks)}}
        return MemoryJournal(known, holds=self.holds - len(self.opened))

    def attempts(self, step: int) -> Sequence[Attempt]:
        calls = {request.call_id for ask, request in zip(self.asks, self.opened, strict=True) if ask.step == step}
        return [*self.known.get(step, ()), *(attempt for attempt in self.closed if str(attempt.call_id) in calls)]

    def open(
        self, asks: Sequence[tuple[Ask, Request]], held_for: Callable[[], tuple[Ask, Request]] | None = None
    ) -> Opened:
        self.log.append("open")
        if held_for is not None:
            self.held_for.append(held_for())
        self._written = len(self.closed)
        covered = asks[: self.holds - len(self.opened)]
        self.asks += [ask for ask, _ in covered]
        self.opened += [request for _, request in covered]
        return Opened(len(covered), Refused("budget_exceeded") if len(covered) < len(asks) else None)

    def close(self, call_id: UUID, completion: Completion, error: str | None, verdict: Verdict | None) -> Attempt:
        self.log.append("close")
        request = next(request for request in self.opened if request.call_id == str(call_id))
        price = cost(request.model.rates, completion.usage)
        self.closed.append(Attempt(call_id, request.model.alias, completion, error, verdict, price))
        return self.closed[-1]

    def flush(self) -> None:
        self.log.append("flush")
        self._written = len(self.closed)
