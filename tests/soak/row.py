"""A row of the table: its task, its amount and its outcome."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.checks import Finding


@dataclass(frozen=True)
class Outcome:
    """`tried` is in the row's unit. `figures` are the names and texts that the table shows."""

    tried: int
    found: Sequence[Finding]
    figures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Amount:
    """The amount of a row to be tried, in its unit.

    `seed` fixes the random choices. `directory` is the row's own, and empty.
    """

    wanted: int
    seed: int
    directory: Path


@dataclass(frozen=True)
class SoakRow:
    """`at_least` of `unit` are the whole row, `short` is the slice of `make test`, 0 if there is none.

    `run` is a function of a module, because it is called in another process.
    """

    title: str
    unit: str
    at_least: int
    short: int
    run: Callable[[Amount], Outcome]
