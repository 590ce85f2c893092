"""Tests that a part of the local stack that dies is reported, started again, and given up after repeated deaths."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from local.postgres import PostgresError
from local.restarts import MOST, WITHIN_S, Restarts
from local.supervision import PartDied, Supervisor


@dataclass
class Dying:
    """A part that dies whenever it is asked about, and fails to start `failures` times."""

    failures: int = 0
    starts: int = 0
    exit_code: int | None = -9
    dies_again: bool = False
    name: str = "The part"
    effect: str = "Nothing is lost."
    log: Path = Path("part.log")
    pauses: list[float] = field(default_factory=list)

    def start_again(self) -> None:
        self.starts += 1
        if self.failures >= self.starts:
            raise PostgresError("It does not start.")
        self.exit_code = -9 if self.dies_again else None


def test_part_that_died_is_reported_and_started_again() -> None:
    part, said = Dying(), list[str]()
    supervisor = Supervisor((part,), part.pauses.append)
    supervisor.check(said.append)
    supervisor.check(said.append)
    assert said[0] == "The part was killed by signal 9 (Killed). It is started again. Nothing is lost."
    assert said[1].startswith("The part runs again after ")
    assert (part.starts, part.pauses, len(said)) == (1, [0.0], 2)


def test_part_that_does_not_start_is_tried_again_with_longer_pauses_and_then_given_up() -> None:
    part, said = Dying(failures=99), list[str]()
    with pytest.raises(PartDied, match=r"^The part died too often within 10 minutes; see part\.log\.$"):
        Supervisor((part,), part.pauses.append).check(said.append)
    assert part.starts == MOST
    assert part.pauses == [0.0, 1.0, 2.0, 4.0, 8.0]
    assert said.count("The part did not start: It does not start.") == MOST


def test_part_that_dies_repeatedly_is_given_up() -> None:
    part = Dying(dies_again=True)
    supervisor = Supervisor((part,), part.pauses.append)
    for _ in range(MOST):
        supervisor.check(lambda _: None)
    with pytest.raises(PartDied):
        supervisor.check(lambda _: None)


def test_restarts_are_forgotten_after_a_while() -> None:
    now = [0.0]
    restarts = Restarts(lambda: now[0])
    assert [restarts.begin() for _ in range(MOST + 1)] == [0.0, 1.0, 2.0, 4.0, 8.0, None]
    now[0] = WITHIN_S + 1
    assert restarts.begin() == 0.0
