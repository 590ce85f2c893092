"""Every dollar of an idle development stage by the cost model, and what its switches cost or save."""

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

# The model must stay below this for an idle development stage, in USD a month.
BOUND_USD: Final = 45.0
_WORKING_HOURS: Final = Awake("07:00", "20:00")


@dataclass(frozen=True)
class Item:
    """A line of the bill. `switch` takes it away, or says why nothing does."""

    name: str
    usd: float
    switch: str


def total(stage: Stage) -> float:
    """USD a month of an idle stage."""
    return sum(_month(stage).costs().values())


def items() -> list[Item]:
    """The lines of the development stage. Together they are its total."""
    month = _month(DEV)
    costs, watching = month.costs(), month.watching()
    storage = DEV.storage_gib * rates.STORAGE_GIB_MONTH.usd
    logs = costs["logs and metrics"] - sum(watching.values())
    endpoints = ", ".join(month.endpoints())
    key = "`customer_key = false` takes 1 USD away; AWS's own keys then encrypt the database and the logs"
    return [
        Item(f"database, {DEV.instance_type}, one zone", costs["database"] - storage, "`awake` stops it at night"),
        Item(f"database storage, {DEV.storage_gib} GiB", storage, "none: RDS has no smaller gp3 volume"),
        Item(f"private endpoint: {endpoints}", costs["network"], "a catalog without Bedrock"),
        Item(f"metrics, {month.series()} series that alarms read", watching["metrics"], "none: the alarms need them"),
        Item(f"alarms, {month.alarm_metrics()} metrics", watching["alarms"], "none: they watch money and turns"),
        Item("KMS keys: the stage's own, the alarms'", watching["keys"], key),
        Item("secret: the database owner's", watching["secrets"], "none: RDS keeps the password in it"),
        Item("queue: the polling", costs["queue"], "none"),
        Item("logs of the sweeper and the clock", logs, "`log_days` keeps them for less time"),
        Item("Lambda: the sweeper, the reconciler, the issuer's keys", costs["Lambda"], "`awake` pauses two of them"),
        Item("S3: the issuer's keys", costs["front door"], "none"),
    ]


# What dev has switched off, with the value that other stages have.
MORE: Final[Mapping[str, Mapping[str, Any]]] = {
    "`endpoints`: also of SQS and Secrets Manager": {"endpoints": ALL_REACHED},
    "`snap_start = true`": {"snap_start": True},
    '`metrics = "all"`': {"metrics": "all"},
    "`dashboards = true`": {"dashboards": True},
    "`proxy = true`": {"proxy": True},
    "`multi_az = true`": {"multi_az": True},
    "`waf_rate`": {"waf_rate": 6000},
}
LESS: Final[Mapping[str, Mapping[str, Any]]] = {
    "`awake` from 07:00 to 20:00, Monday to Friday": {"awake": _WORKING_HOURS},
    "`customer_key = false`": {"customer_key": False},
    'a catalog without Bedrock, `egress = "ipv6"`': {"catalog": "shared/catalog/files/openai.toml", "egress": "ipv6"},
}


def rest_table() -> str:
    """The lines and their sum."""
    rows = [[item.name, f"{item.usd:.2f}", item.switch] for item in items()]
    return report.table(
        ["dev at rest", "USD a month", "what takes it away"], [*rows, ["total", f"{total(DEV):.2f}", ""]]
    )


def switch_table() -> str:
    """What each switch adds to dev or takes from it."""
    here = total(DEV)
    changes = {**MORE, **LESS}
    rows = [[name, f"{total(replace(DEV, **change)) - here:+.2f}"] for name, change in changes.items()]
    return report.table(["switch of dev", "USD a month"], rows)


def _month(stage: Stage) -> Month:
    return Month(stage, 0, Footprint.kept())
