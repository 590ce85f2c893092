"""A few of the guards that the protocol rests on, each with a test that must turn red without it: for `make test`."""

import tomllib
from pathlib import Path

from tests.mutation.mutants import Mutant
from tests.mutation.sql import every_mutant_of

_LISTED = Path(__file__).parent / "guards.toml"


def guards() -> dict[str, str]:
    """The test that kills it, by the mutant's name."""
    return {guard["without"]: guard["test"] for guard in tomllib.loads(_LISTED.read_text())["guard"]}


def mutants() -> list[Mutant]:
    listed = guards()
    files = {name.partition(" ")[0] for name in listed}
    found = [mutant for file in sorted(files) for mutant in every_mutant_of(file) if mutant.name in listed]
    assert len(found) == len(listed), f"no mutants: {listed.keys() - {mutant.name for mutant in found}}"
    return found
