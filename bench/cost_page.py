"""Write the cost model's tables into docs/costs.md, between the marks of their sections.

python -m bench.cost_page            write the tables
python -m bench.cost_page --check    exit with 1 if the page has other tables
python -m bench.cost_page --details  print the other tables: network, load, and the model's inputs
"""

import argparse
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Final

from bench import at_rest, report
from bench.anonymous import kinds, million_usd
from bench.assumed import ASSUMED
from bench.cost_model import GIB, PARTS, Month, first_limits
from bench.footprint import Footprint
from infra_cdk import rates
from infra_cdk.rates import Rate
from infra_cdk.stage_catalog import ROOT, read
from infra_cdk.stages import STAGES, Stage

PAGE: Final = Path(__file__).parents[1] / "docs" / "costs.md"
# A catalog whose models are all on the internet.
_AWAY: Final = "shared/catalog/files/openai.toml"
SIZES: Final = {0: "at rest", 10_000: "10 k", 1_000_000: "1 M", 100_000_000: "100 M"}
# The page leaves out larger sizes, which only --details prints.
_MOST_ON_PAGE: Final = 1_000_000


def months() -> Iterator[Month]:
    footprint = Footprint.kept()
    return (Month(stage, turns, footprint) for stage in STAGES.values() for turns in SIZES)


def sections() -> Mapping[str, str]:
    """Return the page's tables by the marks of their sections."""
    return {
        "costs": _costs(_MOST_ON_PAGE),
        "rest": at_rest.rest_table(),
        "switches": at_rest.switch_table(),
        "held": _held(),
    }


def details() -> Mapping[str, str]:
    """Return the tables that the page leaves out, by their titles."""
    return {
        "Cost (USD a month) by the number of turns": _costs(max(SIZES)),
        "Network (USD a month) by the place of the models": _egress(),
        "A million requests without a credential (USD, upper bounds)": _anonymous(),
        "Load at the peak, and the limits of the stages that it exceeds": _limits(),
        "Measured by bench/footprint.py: bytes, and milliseconds of processor": _measured(),
        "Assumed in bench/assumed.py: tokens of one call, shares of 1, seconds of wall clock": _assumed(),
        "Prices of infra_cdk/rates.py and of the catalogs": _prices(),
    }


def written(page: str) -> str:
    """Return the page with its tables of today."""
    for section, text in sections().items():
        page = report.put(page, section, text)
    return page


def _costs(most_turns: int) -> str:
    rows = []
    for month in months():
        if month.turns > most_turns:
            continue
        costs = month.costs()
        amounts = [_usd(costs[part]) for part in PARTS]
        rows.append([month.stage.name, SIZES[month.turns], *amounts, _usd(sum(costs.values()))])
    return report.table(["stage", "turns a month", *PARTS, "total"], rows)


def _egress() -> str:
    """Compare the network's cost of models on Bedrock and of models on the internet."""
    rows = []
    for stage in STAGES.values():
        ways: list[Stage] = [stage, *(replace(stage, catalog=_AWAY, egress=way) for way in ("nat", "ipv6"))]
        for turns, size in SIZES.items():
            costs = [Month(each, turns, Footprint.kept()).costs()["network"] for each in ways]
            rows.append([stage.name, size, *map(_usd, costs)])
    columns = ("models on Bedrock, no egress", "on the internet, by NAT", "on the internet, by IPv6")
    return report.table(["stage", "turns a month", *columns], rows)


def _anonymous() -> str:
    rows = [
        [kind.name, kind.reaches, *(f"{million_usd(kind, stage):.2f}" for stage in STAGES.values())] for kind in kinds()
    ]
    return report.table(["a million of", "reaches", *STAGES], rows)


def _limits() -> str:
    rows = [
        [
            month.stage.name,
            SIZES[month.turns],
            _short(month.peak_turns_s()),
            f"{math.ceil(month.at_once()):,}",
            _short(month.peak_turns_s() * (month.calls_a_turn() + 1)),
            _short(month.peak_turns_s() * month.footprint.wal_bytes / 1e6),
            _short(month.stored_bytes() / GIB),
            _short(month.turns * month.calls_a_turn() / 1e6),
            ", ".join(month.limits()) or "none",
        ]
        for month in months()
        if month.turns
    ]
    columns = (
        *("stage", "turns a month", "turns/s at the peak", "invocations at once", "commits/s", "WAL, MB/s"),
        *("new GiB a month", "ledger rows, M", "limits exceeded"),
    )
    return report.table(columns, rows)


def _held() -> str:
    rows = []
    for stage in STAGES.values():
        turns, met = first_limits(stage, Footprint.kept())
        rows.append([stage.name, f"{turns / 1e6:.2g} M", ", ".join(met)])
    return report.table(["stage", "most turns a month", "first limit beyond"], rows)


def _measured() -> str:
    kept = Footprint.kept()
    rows = [[field.name.replace("_", " "), f"{getattr(kept, field.name):,}"] for field in fields(kept)]
    return report.table(["of a turn, or of a sweep", "measured"], rows)


def _assumed() -> str:
    values = {field.name: getattr(ASSUMED, field.name) for field in fields(ASSUMED)}
    rows = [
        [name.replace("_", " "), ", ".join(value) if isinstance(value, tuple) else f"{value:,}"]
        for name, value in values.items()
    ]
    return report.table(["assumed", "value"], rows)


def _prices() -> str:
    found: list[Rate] = []
    for name, value in vars(rates).items():
        if name.isupper():
            several = value.values() if isinstance(value, Mapping) else [value]
            found += [rate for rate in several if isinstance(rate, Rate)]
    rows = [[one.per, f"{one.usd:.10f}".rstrip("0").rstrip("."), one.source] for one in found]
    catalogs = {stage.catalog: read(stage) for stage in STAGES.values()}
    models = [
        [f"million tokens of {model.alias} ({model.model_id}), {name}", f"{rate}", f"{one.file.relative_to(ROOT)}"]
        for one in catalogs.values()
        for model in one.known.values()
        if model.alias in ASSUMED.agent_aliases
        for name, rate in (("input", model.rates.input), ("output", model.rates.output))
    ]
    return report.table(["price of a", "USD", "source"], [*rows, *models])


def _usd(amount: float) -> str:
    return f"{amount:,.0f}" if amount >= 10 or amount == 0 else f"{amount:,.2f}"


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the page has other tables")
    parser.add_argument("--details", action="store_true", help="print the tables that are not on the page")
    arguments = parser.parse_args()
    if arguments.details:
        print("\n\n".join(f"{title}\n\n{text}" for title, text in details().items()))
        return 0
    page = PAGE.read_text(encoding="utf-8")
    if arguments.check:
        return 0 if page == written(page) else 1
    PAGE.write_text(written(page), encoding="utf-8")
    print(_costs(max(SIZES)), _held(), sep="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
