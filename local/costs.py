"""`pantheon cost` and `pantheon status`: the dashboards' figures in the terminal, from the queries that feed them.

The rule this file protects: it looks and changes nothing, in the role for operations, and adds nothing up by itself.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Final

import psycopg
from rich.bar import Bar
from rich.console import Console, RenderableType
from rich.table import Table

from local.operations import operations_url
from local.postgres import PostgresError
from local.stack import StackError, check_database
from shared.db.costs import Month, load_month
from shared.db.dispatch import load_activity, load_turns_of_last_day
from shared.db.engine import Database
from shared.errors import PantheonError
from shared.names import Dimension, Env, LocalEnv
from shared.operations.costs import budget_used, forecast, suspense, tokens, total, totals
from shared.operations.sweep import check_invariants


class FiguresError(Exception):
    """There is nothing to read. The text is one line."""


# What both raise, each with a text for a person.
FIGURES_ERRORS: Final = (FiguresError, PantheonError, StackError, PostgresError)
# Nobody waits for a terminal as the sweeper's minute does.
_STATEMENT_S: Final = 30.0
_BAR: Final = 24


@contextmanager
def _operations(environ: Mapping[str, str]) -> Iterator[Database]:
    if (owner_url := environ.get(LocalEnv.DATABASE_URL)) and not environ.get(Env.OPS_DATABASE_URL):
        check_database(owner_url)
    with operations_url(environ) as url:
        db = Database(url)
        try:
            yield db
        except psycopg.errors.UndefinedTable as error:
            raise FiguresError("The database has no schema yet; `pantheon run` makes it.") from error
        finally:
            db.close()


def show_costs(environ: Mapping[str, str], console: Console) -> None:
    """The month so far in USD, by account, alias and purpose, and in tokens. Raises one of FIGURES_ERRORS."""
    with _operations(environ) as db:
        month = load_month(db, _STATEMENT_S)
    console.print(_summary(month))
    for dimension in (Dimension.ACCOUNT, Dimension.MODEL_ALIAS, Dimension.PURPOSE):
        console.print(_chart(f"USD by {dimension.value.removeprefix('model_')}", totals(month, dimension)))
    counts = {name.removesuffix("_tokens"): Decimal(n) for name, n in tokens(month).as_dict().items()}
    console.print(_chart("Tokens by class", counts, places=0))


def show_status(environ: Mapping[str, str], console: Console) -> bool:
    """Turns, what waits, and the invariants of the last day. Whether nothing is broken. Raises one of
    FIGURES_ERRORS."""
    with _operations(environ) as db:
        activity, by_status, check = load_activity(db), load_turns_of_last_day(db), check_invariants(db)
        drift = load_month(db, _STATEMENT_S).drift_usd
    console.print(_chart("Turns of 24 hours", {name: Decimal(n) for name, n in by_status.items()}, places=0))
    table = _table("Now", "", "")
    for name, value in (
        ("turns that have not ended", str(activity.active)),
        ("of these, due to be sent again", str(activity.due)),
        ("the oldest of them, seconds", f"{activity.oldest_s:.0f}"),
        ("budgets and ledger apart, USD", _usd(drift)),
        ("invariants broken", str(len(check.broken))),
        ("invariants not checked in time", str(len(check.unchecked))),
    ):
        table.add_row(name, value)
    console.print(table)
    for name in check.broken:
        console.print(f"BROKEN  {name}", style="bold red", highlight=False)
    return not check.broken


def _summary(month: Month) -> Table:
    table = _table(f"{month.moment:%B %Y}, UTC", "", "USD")
    table.add_row("so far", _usd(total(month)))
    table.add_row("forecast to its end", _usd(forecast(month)))
    table.add_row("in suspense, of all months", _usd(suspense(month)))
    used = budget_used(month)
    table.add_row("platform's budget used", "no limit" if used is None else f"{used:.1f} %")
    table.add_row("budgets and ledger apart", _usd(month.drift_usd))
    return table


def _chart(title: str, values: Mapping[str, Decimal], places: int = 6) -> RenderableType:
    table = _table(title, "", "", "")
    most = max(values.values(), default=Decimal(0))
    for name, value in values.items():
        bar = Bar(float(most) or 1.0, 0, float(max(value, Decimal(0))), width=_BAR)
        table.add_row(name, f"{value:,.{places}f}", bar)
    return table if values else f"{title}: nothing yet"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", show_header=any(columns), box=None, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number == 1 else "left", no_wrap=True)
    return table


def _usd(amount: Decimal) -> str:
    return f"{amount:,.6f}"
