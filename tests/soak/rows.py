"""Lists the rows of the table, in its order."""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

from tests.fuzz.targets import TARGETS
from tests.soak import document, load, long_run, outcomes
from tests.soak.fuzzing import fuzz
from tests.soak.hostile import row as hostile
from tests.soak.machine import row as machine
from tests.soak.row import SoakRow

# Input that an attacker or a model writes. The slice of `make test` is in tests/fuzz.
_LONG = ("tags", "structured", "gateway", "messages")
_FUZZING = {
    f"fuzz-{name}": SoakRow(f"fuzzing: {target.title}", "minutes", 10 if name in _LONG else 2, 0, partial(fuzz, name))
    for name, target in TARGETS.items()
}

ROWS: Mapping[str, SoakRow] = MappingProxyType(
    {
        "machine": machine.ROW,
        "controls": machine.CONTROLS,
        "document": document.ROW,
        **_FUZZING,
        "outcomes": SoakRow("provider outcomes at random, 30 % bad", "turns", 20_000, 48, outcomes.run),
        "hostile": hostile.ROW,
        "hostile-controls": hostile.CONTROLS,
        "load": SoakRow("load on all cores, provider at 50 ms, mixed modes", "seconds", 600, 3, load.run),
        "long": SoakRow("one session of 10,000 turns, beside 1 M ledger rows", "turns", 10_000, 180, long_run.run),
    }
)
