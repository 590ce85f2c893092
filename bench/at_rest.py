"""Split the monthly cost of an idle development stage into lines, and price its switches."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from bench import report
from bench.cost_model import Month
from bench.footprint import Footprint
from infra_cdk import rates
from infra_cdk.places import Awake
from infra_cdk.stage import ALL_REACHED
from infra_cdk.stages import DEV, Stage

# The most that an idle development stage may cost, in USD a month.
BOUND_USD: Final = 45.0
_WORKING_HOURS: Final = Awake("07:00", "20:00")


@dataclass(frozen=True)
class Item:
    """One line of the bill. `saving` names the setting that lowers it, or the reason why none does."""

    name: str
    usd: float
    saving: str


def total(stage: Stage) -> float:
    """Return the USD a month of an idle stage."""
    return sum(_month(stage).costs().values())


def items() -> list[Item]:
    """Return the lines of the development stage, which add up to its total."""
    month = _month(DEV)
    costs, watching = month.costs(), month.watching()
    storage = DEV.storage_gib * rates.STORAGE_GIB_MONTH.usd
    logs = costs["logs and metrics"] - sum(watching.values())
    endpoints = ", ".join(month.endpoints())
    key = "`customer_key = false` saves 1 USD: AWS's own keys encrypt database and logs"
    return [
        Item(f"database, {DEV.instance_type}, one zone", costs["database"] - storage, "`awake`: stopped at night"),
        Item(f"database storage, {DEV.storage_gib} GiB", storage, "none: the smallest gp3 volume of RDS"),
        Item(f"private endpoint: {endpoints}", costs["network"], "a catalog without Bedrock"),
        Item(f"metrics, {month.series()} series that alarms read", watching["metrics"], "none"),
        Item(f"alarms, {month.alarm_metrics()} metrics", watching["alarms"], "none"),
        Item("KMS keys: the stage's, the alarms'", watching["keys"], key),
        Item("secret: the database owner's", watching["secrets"], "none"),
        Item("SQS: polling of the queue", costs["queue"], "none"),
        Item("logs of the scheduled functions", logs, "`log_days`"),
        Item("Lambda: sweeper, reconciler, jwks", costs["Lambda"], "`awake` pauses the first two"),
        Item("S3: the issuer's keys", costs["front door"], "none"),
    ]


# Switches that are off in dev, with the values of other stages.
MORE: Final[Mapping[str, Mapping[str, Any]]] = {
    "`endpoints` of SQS and Secrets Manager too": {"endpoints": ALL_REACHED},
    "`snap_start = true`": {"snap_start": True},
    '`metrics = "all"`': {"metrics": "all"},
    "`dashboards = true`": {"dashboards": True},
    "`proxy = true`": {"proxy": True},
    "`multi_az = true`": {"multi_az": True},
    "`waf_rate`": {"waf_rate": 6000},
}
LESS: Final[Mapping[str, Mapping[str, Any]]] = {
    "`awake`, 07:00 to 20:00, Monday to Friday": {"awake": _WORKING_HOURS},
    "`customer_key = false`": {"customer_key": False},
    'a catalog without Bedrock, `egress = "ipv6"`': {"catalog": "shared/catalog/files/openai.toml", "egress": "ipv6"},
}


def rest_table() -> str:
    """Return the lines and their sum as a table."""
    rows = [[item.name, f"{item.usd:.2f}", item.saving] for item in items()]
    return report.table(["dev at rest", "USD a month", "reduced by"], [*rows, ["total", f"{total(DEV):.2f}", ""]])


def switch_table() -> str:
    """Return the change of dev's total by each switch as a table."""
    here = total(DEV)
    changes = {**MORE, **LESS}
    rows = [[name, f"{total(replace(DEV, **change)) - here:+.2f}"] for name, change in changes.items()]
    return report.table(["switch of dev", "USD a month"], rows)


def _month(stage: Stage) -> Month:
    return Month(stage, 0, Footprint.kept())
