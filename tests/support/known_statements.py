"""Lists each statement that the code sends: of the `.sql` files, and of SQLAlchemy's clauses."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from local import doctor, event_source
from shared import db
from shared.db.api import api_keys, budgets, sessions
from shared.db.operations import invariants, waiting
from shared.db.protocol import DELETE_SESSION, RECONCILE
from shared.db.statement import Statement, load, read_sql
from shared.db.usage import totals

Named = tuple[str, str]

FILES = sorted(path.stem for path in (Path(db.__file__).parent / "sql").glob("*.sql"))


def of_files() -> Iterator[Named]:
    for name in FILES:
        if "-- part " in read_sql(name):
            yield from _parts(name, load(name))


def of_modules(package: Any = db) -> Iterator[Named]:
    """Those that are in the modules of `package`, by name, in a tuple or in a dictionary."""
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        for name, value in vars(importlib.import_module(found.name)).items():
            yield from _within(f"{found.name}.{name}", value)


def of_usage() -> Iterator[Named]:
    """Compiled when they are first used."""
    for groups in (totals.GROUPS, totals.OPERATOR_GROUPS):
        for from_ledger in (True, False):
            yield from _parts(f"totals {len(groups)}", totals._statement(groups, "asc", from_ledger=from_ledger))


def of_local() -> Iterator[Named]:
    """Of the commands and of the local queue."""
    yield "counts", doctor._COUNTS
    yield "event source", event_source._DUE.replace("%s", "$1::uuid[]")
    for name, query in invariants.INVARIANTS.items():
        yield name, invariants.first_rows(query, "1")


def of_operations() -> Iterator[Named]:
    """Those that are sent as `pantheon_ops`: by the sweeper, the reconciler and the commands of operations."""
    yield from of_modules(importlib.import_module("shared.db.operations"))
    yield from _within("batch", importlib.import_module("shared.db.usage.roll_up")._BATCH)
    yield from of_local()
    names = {
        "measure": budgets._MEASURE_PLATFORM,
        "leftovers": budgets._RELEASE_LEFTOVER_HOLDS,
        "reconcile": RECONCILE,
        "scrub": Statement(*(part for part in DELETE_SESSION.parts if part.needs != "a_user_id")),
        "forget": sessions._FORGET,
        "untouched": sessions._UNTOUCHED,
        "untouched implicit": sessions._UNTOUCHED_IMPLICIT,
        "keys": api_keys._REMOVE,
    }
    for name, statement in names.items():
        yield from _parts(name, statement)


def of_operator() -> Iterator[Named]:
    """Those that are sent as `pantheon_operator`."""
    for statement in (budgets._LOAD, budgets._LOAD_PLATFORM, budgets._SET_LIMIT, budgets._SET_CAP):
        yield from _parts("budgets", statement)
    for from_ledger in (True, False):
        yield from _parts("usage", totals._statement(totals.OPERATOR_GROUPS, "desc", from_ledger=from_ledger))
    for listed in (waiting._WAITING, waiting._SUSPENDED):
        yield from _within("waiting", dict(listed))


def _within(name: str, value: object) -> Iterator[Named]:
    if isinstance(value, Statement):
        yield from _parts(name, value)
    elif isinstance(value, tuple):
        for number, each in enumerate(value):
            yield from _within(f"{name}[{number}]", each)
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _within(f"{name}[{key}]", each)


def _parts(name: str, statement: Statement) -> Iterator[Named]:
    for part in statement.parts:
        text = part.text
        if "b_since" in part.params:
            # psycopg sends its type, and Postgres does not find it out.
            number = part.params.index("b_since") + 1
            text = re.sub(rf"\${number}\b", f"${number}::uuid", text)
        yield f"{name}, {part.name}", text
