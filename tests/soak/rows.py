"""The table, in its order."""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

from tests.fuzz.targets import TARGETS
from tests.soak import outcomes
from tests.soak.fuzzing import fuzz
from tests.soak.row import SoakRow

# What an attacker or a model writes. The slice of `make test` is in tests/fuzz.
_LONG = ("tags", "structured", "gateway", "messages")

ROWS: Mapping[str, SoakRow] = MappingProxyType(
    {"outcomes": SoakRow("provider outcomes at random, 30 % bad", "turns", 20_000, 100, outcomes.run)}
    | {
        f"fuzz-{name}": SoakRow(
            f"fuzzing: {target.title}", "minutes", 10 if name in _LONG else 2, 0, partial(fuzz, name)
        )
        for name, target in TARGETS.items()
    }
)
