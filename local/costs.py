"""Print the figures of the dashboards for `pantheon cost` and `pantheon status`.

It reads as the role for operations, changes nothing, and uses the queries of the dashboards.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Final

import psycopg
from rich.bar import Bar
from rich.console import Console, RenderableType
from rich.table import Table

from local.data_folder import StackError, check_database
from local.operations_url import operations_url
from local.postgres import PostgresError
from shared.db.engine import Database
from shared.db.operations.dispatch import load_activity, load_seconds_of_last_day, load_turns_of_last_day
from shared.db.operations.month_costs import Month, load_month
from shared.db.operations.suspense import load_left
from shared.errors import PantheonError
from shared.names import Dimension, Env, LocalEnv
from shared.operations.costs import budget_used, forecast, suspense, tokens, total, totals
from shared.operations.sweep import check_invariants


class FiguresError(Exception):
    """The database has no schema. The text is one line."""


# The exceptions of both commands. Each text is written for the user.
FIGURES_ERRORS: Final = (FiguresError, PantheonError, StackError, PostgresError)
# The sweeper must end within its minute. A command may take longer.
_STATEMENT_S: Final = 30.0
_SHOWN: Final = (
    Dimension.ACCOUNT,
    Dimension.REASON,
    Dimension.PROVIDER,
    Dimension.MODEL_ALIAS,
    Dimension.PURPOSE,
)
# Widths, in characters.
_NAME, _VALUE, _SHARE, _BAR = 30, 14, 5, 24
# The threshold of the alarm.
OLD_TURN_S: Final = 45 * 60
# Values to print in red.
_ALARMING: Final[Mapping[str, Callable[[Decimal], bool]]] = {
    "the oldest of them, seconds": lambda seconds: seconds >= OLD_TURN_S,
    "budgets and ledger apart, USD": bool,
    "invariants broken": bool,
}


@contextmanager
def _operations(environ: Mapping[str, str]) -> Iterator[Database]:
    if (owner_url := environ.get(LocalEnv.DATABASE_URL)) and not environ.get(Env.OPS_DATABASE_URL):
        check_database(owner_url)
    with operations_url(environ) as url:
        db = Database(url)
        try:
            yield db
        except psycopg.errors.UndefinedTable as error:
            raise FiguresError("The database has no schema yet: start `pantheon run`, which creates it.") from error
        finally:
            db.close()


def show_costs(environ: Mapping[str, str], console: Console) -> None:
    """Print this month in USD by account, reason, provider, alias and purpose, and in tokens.

    Raises one of FIGURES_ERRORS."""
    with _operations(environ) as db:
        month = load_month(db, _STATEMENT_S)
    console.print(_list(f"{month.moment:%B %Y} (UTC), USD", _summary(month)))
    for dimension in _SHOWN:
        console.print(_chart(f"By {dimension.value.removeprefix('model_')}, USD", totals(month, dimension)))
    counts = {name.removesuffix("_tokens"): Decimal(n) for name, n in tokens(month).as_dict().items()}
    console.print(_chart("By class, tokens", counts, places=0))


def show_status(environ: Mapping[str, str], console: Console) -> bool:
    """Print the turns of the last day, the waiting turns and the broken invariants. Return whether none is broken.

    Raises one of FIGURES_ERRORS."""
    with _operations(environ) as db:
        activity, check = load_activity(db), check_invariants(db, _STATEMENT_S)
        by_status, seconds = load_turns_of_last_day(db), load_seconds_of_last_day(db)
        suspended = sum(row["calls"] for row in load_left(db))
        drift = load_month(db, _STATEMENT_S).drift_usd
    console.print(_chart("Turns of 24 hours", {name: Decimal(n) for name, n in by_status.items()}, places=0))
    took = {f"{name}, seconds": "-" if value is None else f"{value:.3f}" for name, value in seconds.items()}
    console.print(_list("What they took, waiting included", took))
    now = {
        "turns that have not ended": str(activity.active),
        "of these, due to be sent again": str(activity.due),
        "the oldest of them, seconds": f"{activity.oldest_s:.0f}",
        "calls in suspense": str(suspended),
        "budgets and ledger apart, USD": _usd(drift),
        "invariants broken": str(len(check.broken)),
        "invariants not checked in time": str(len(check.unchecked)),
    }
    alarming = [name for name, bad in _ALARMING.items() if bad(Decimal(now[name].replace(",", "")))]
    console.print(_list("Now", now, alarming))
    for name in check.broken:
        console.print(f"BROKEN  {name}", style="bold red", highlight=False)
    return not check.broken


def _summary(month: Month) -> dict[str, str]:
    used = budget_used(month)
    return {
        "so far": _usd(total(month)),
        "forecast to its end": _usd(forecast(month)),
        "in suspense, of all months": _usd(suspense(month)),
        "platform's budget used": "no limit" if used is None else f"{used:.1f} %",
        "budgets and ledger apart": _usd(month.drift_usd),
    }


def _list(title: str, values: Mapping[str, str], alarming: Sequence[str] = ()) -> Table:
    table = _table(title)
    for name, value in values.items():
        table.add_row(name, value, style="bold red" if name in alarming else "")
    return table


def _chart(title: str, values: Mapping[str, Decimal], places: int = 6) -> RenderableType:
    """Return a row for each value: its share of the sum, and a bar in proportion to the largest value."""
    table = _table(title)
    most, whole = max(values.values(), default=Decimal(0)), sum(values.values(), Decimal(0))
    for name, value in values.items():
        bar = Bar(float(most) or 1.0, 0, float(max(value, Decimal(0))), width=_BAR, color="cyan")
        share = f"{100 * value / whole:.0f} %" if whole else ""
        table.add_row(name, f"{value:,.{places}f}", share, bar, style="" if value else "dim")
    if not values:
        table.add_row("nothing yet")
    return table


def _table(title: str) -> Table:
    """Return an empty table. All tables align, because their columns have the same least widths."""
    table = Table(
        title=f"\n{title}", title_justify="left", title_style="bold", show_header=False, box=None, pad_edge=False
    )
    table.add_column(min_width=_NAME, no_wrap=True)
    table.add_column(min_width=_VALUE, justify="right", no_wrap=True)
    table.add_column(min_width=_SHARE, justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    return table


def _usd(amount: Decimal) -> str:
    return f"{amount:,.6f}"
