"""The simulation as rows: a number of minutes with 500 tenants, and runs without a guard that end at a finding."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import median, quantiles
from types import MappingProxyType

from shared.db.statement import read_sql
from tests.faults.checks import Finding
from tests.soak.hostile.did import Did
from tests.soak.hostile.run import Result, simulate
from tests.soak.hostile.schedule import Schedule
from tests.soak.hostile.tenants import Tenants
from tests.soak.row import Amount, Outcome, SoakRow
from tests.support.sql_edits import apply, edited

# A shorter run has fewer tenants and turns. Its latencies are shown, and are too few to be judged.
_LONG_S = 120
_MOST_RATIO = 2.0
_CONTROL_S = 40
_FULL, _SMALL = Tenants.of(500, 8.0), Tenants.of(60, 6.0)


def run(amount: Amount) -> Outcome:
    tenants = _FULL if amount.wanted >= _LONG_S else _SMALL
    result = simulate(amount.directory, tenants, amount.wanted, amount.seed)
    ratio, figures = slowdown(result.honest, Schedule(0.0, amount.wanted))
    found = [*result.found]
    if amount.wanted >= _LONG_S and ratio > _MOST_RATIO:
        found.append(("slower", f"p95 of honest turns is {ratio:.2f} times that without hostile tenants"))
    return Outcome(amount.wanted, found, {**_counted(tenants, result), **figures})


def slowdown(honest: Did, schedule: Schedule) -> tuple[float, dict[str, str]]:
    """Return the ratio of the p95 next to hostile tenants and the p95 without them."""
    parts: dict[str, list[float]] = {"quiet": [], "settling": [], "hostile": []}
    for turn in honest.latencies:
        parts[schedule.part(turn.at)].append(turn.seconds * 1000)
    (quiet, quiet_p95), (beside, beside_p95) = ((parts[name], _p95(parts[name])) for name in ("quiet", "hostile"))
    ratio = beside_p95 / quiet_p95
    return ratio, {
        "p50 of honest turns without and beside hostile tenants": f"{median(quiet):.0f} and {median(beside):.0f} ms",
        "p95": f"{quiet_p95:.0f} and {beside_p95:.0f} ms",
        "ratio of p95": f"{ratio:.2f}",
        "turns measured": f"{len(quiet):,} and {len(beside):,}",
    }


def _p95(values: Sequence[float]) -> float:
    return quantiles(values, n=20)[-1]


def _counted(tenants: Tenants, result: Result) -> dict[str, str]:
    watch, books = result.watch, result.books
    answers = ", ".join(f"{count:,} {what}" for what, count in sorted(result.hostile.answers.items()))
    work = ", ".join(f"{count:,} {what}" for what, count in sorted(result.workers.answers.items()))
    charged = ", ".join(f"{usd:.4f} {account}" for account, usd in sorted((books.charged or {}).items()))
    return {
        "tenants": f"{len(tenants.honest)} honest and {len(tenants.hostile)} hostile",
        "provider calls": f"{books.calls:,}",
        "hostile clients were answered": answers,
        "workers": work,
        "samples": f"{watch.samples:,}, {watch.gap_s:.1f} s apart at most",
        "fullest cap and allowance": " and ".join(f"{part:.4f}" for part in watch.fullest.values()),
        "drawn of all allowances of hostile tenants": f"{watch.drawn:.3f}",
        "most active turns and turns a minute": f"{watch.active} and {watch.posted}",
        "provider charges": f"{books.billed:.4f} USD",
        "ledger": f"{charged} USD, after {books.settled:,} calls at {books.suspended:.4f} USD left suspense",
    }


@dataclass(frozen=True)
class _Control:
    """A guard that is taken out of the SQL, and the kinds of findings of which one must be made."""

    texts: Callable[[], Mapping[str, str]]
    caught_as: frozenset[str]


def _without_first_agent() -> Mapping[str, str]:
    text = read_sql("accept")
    part = text.index("-- part first_agent")
    return {"accept": text[:part]}


_FITS = "WHERE b.spent_usd + b.held_usd + excluded.held_usd <= (SELECT most FROM room)"
_CONTROLS: Mapping[str, _Control] = MappingProxyType(
    {
        "failed attempts move to the platform's share although it is spent": _Control(
            lambda: {
                "publish": edited("publish", "CASE WHEN f.amount <= w.room THEN f.call_id END", "f.call_id"),
            },
            frozenset({"allowances"}),
        ),
        "accepting holds nothing for the first agent": _Control(_without_first_agent, frozenset({"promise"})),
        "a tenant's hold does not look at its month": _Control(
            lambda: {"intents": edited("intents", _FITS, "")}, frozenset({"caps"})
        ),
        "accepting does not count active turns": _Control(
            lambda: {
                "accept": edited("accept", "WHEN :t_active_turns::integer > 0", "WHEN :t_active_turns::integer < 0")
            },
            frozenset({"active turns"}),
        ),
    }
)


def run_controls(amount: Amount) -> Outcome:
    """Run without each of the first guards, one at a time; the amount is their number."""
    found: list[Finding] = []
    after: dict[str, str] = {}
    for name, control in islice(_CONTROLS.items(), amount.wanted):
        directory = amount.directory / f"control-{len(after)}"
        directory.mkdir()
        apply(control.texts())
        try:
            result = simulate(directory, _SMALL, _CONTROL_S, amount.seed, until_found=True)
        finally:
            apply({})
        kinds = {kind for kind, _ in result.found}
        after[name] = f"noticed as {', '.join(sorted(kinds))} after {result.watch.samples} samples"
        if not kinds & control.caught_as:
            found.append(("not noticed", f"{name}: {sorted(kinds)}"))
    return Outcome(len(after), found, after)


ROW = SoakRow("500 tenants, a tenth of them hostile", "seconds", 600, 20, run)
CONTROLS = SoakRow("hostile tenants without a guard", "guards", len(_CONTROLS), 1, run_controls)
