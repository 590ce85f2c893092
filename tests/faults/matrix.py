"""A row of the matrix: its fault, its number of rounds and its findings."""

import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.faults.checks import Finding, examine
from tests.faults.reconciled import settle
from tests.faults.turn import TurnUnderFault
from tests.faults.world import World

_SAY_EVERY_S = 20.0
_NOTES = 20
# Each look at everything stored stays cheap.
_RENEW_AFTER = 40


@dataclass
class Tally:
    """The results of a row.

    `rounds` of `wanted` are done. `calls` reached the provider. `settled` calls were in suspense before reconciliation.
    """

    name: str
    wanted: int
    rounds: int = 0
    calls: int = 0
    settled: int = 0
    seconds: float = 0.0
    found: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    # Rounds by kind, in a row with several kinds.
    kinds: Counter[str] = field(default_factory=Counter)
    # The clients' answers by status.
    answers: Counter[int] = field(default_factory=Counter)
    # The row ends at one of these findings.
    until: frozenset[str] = frozenset()
    _began: float = field(default_factory=time.monotonic)
    _said: float = field(default_factory=time.monotonic)

    def add(self, world: World, *turns: TurnUnderFault, kind: str = "", more: list[Finding] | None = None) -> None:
        """Count a finished round and examine its turns."""
        self.rounds += 1
        self.kinds[kind] += 1
        findings = list(more or [])
        for turn in turns:
            self.calls += len(turn.requests)
            self.answers.update(answer.status for answer in turn.told)
            findings += examine(turn)
        self._note(kind, findings)
        self.seconds = time.monotonic() - self._began
        if time.monotonic() - self._said > _SAY_EVERY_S:
            self._said = time.monotonic()
            sys.stdout.write(f"  {self.name}: {self.rounds} of {self.wanted}, {dict(self.found) or 'nothing found'}\n")
            sys.stdout.flush()
        if findings:
            # Its leftovers must not count against the next round.
            world.renew()
        elif self.rounds % _RENEW_AFTER == 0 or self.done:
            self._settle(world)

    def _settle(self, world: World) -> None:
        """Reconcile the calls that the last rounds left in suspense, and clear the database."""
        settled, findings = settle(world)
        self.settled += settled
        self._note("after reconciliation", findings)
        world.renew()

    def _note(self, kind: str, findings: list[Finding]) -> None:
        for finding, text in findings:
            self.found[finding] += 1
            if len(self.notes) < _NOTES:
                self.notes.append(f"round {self.rounds} {kind}: {finding}: {text}")

    @property
    def done(self) -> bool:
        return self.rounds >= self.wanted or not self.until.isdisjoint(self.found)


Try = Callable[[World, Tally, random.Random], None]


@dataclass(frozen=True)
class FaultRow:
    """`at_least` rounds make the full matrix, `short` those of `make test`. `attempt` runs until its tally is done."""

    title: str
    at_least: int
    short: int
    attempt: Try


def run_row(
    world: World, name: str, row: FaultRow, rounds: int, seed: int, *, until: frozenset[str] = frozenset()
) -> Tally:
    """Try a row this number of times, or until one of these findings. The same seed makes the same choices."""
    tally = Tally(name, rounds, until=until)
    world.dismiss()
    world.renew()
    row.attempt(world, tally, random.Random(f"{seed}:{name}"))
    return tally
