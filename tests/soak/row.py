"""A row of the table: what is tried, how much of it, and what came of that."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.checks import Finding


@dataclass(frozen=True)
class Outcome:
    """`tried` is in the row's unit; `figures` are what the table shows, a name and a text each."""

    tried: int
    found: Sequence[Finding]
    figures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Amount:
    """How much of a row is to be tried, in its unit. `seed` fixes what is chosen; `directory` is the row's own, and
    empty."""

    wanted: int
    seed: int
    directory: Path


@dataclass(frozen=True)
class SoakRow:
    """`at_least` of `unit` are the whole of it, `short` the slice of `make test`, 0 where that has none. `run` is a
    function of a module: it is called in another process."""

    title: str
    unit: str
    at_least: int
    short: int
    run: Callable[[Amount], Outcome]
