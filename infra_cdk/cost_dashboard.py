"""What Pantheon costs: the ledger's own sums, and beside them what AWS charges for running it.

The rule this file protects: money of models comes from the gauges that the sweeper reads from the ledger, and from
nowhere else. What AWS charges is worked out from its metrics at stated rates, and is an estimate.
"""

from collections.abc import Mapping
from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_rds as rds
from constructs import Construct

from infra_cdk import rates
from infra_cdk.function import Function
from infra_cdk.metrics import DAY, FIVE_MINUTES, HOUR, Metrics, aws, graph, math, row
from infra_cdk.stages import Stage
from shared.names import Dimension, Metric

_ACCOUNTS: Final = ("tenant", "platform", "suspense")
_STATUSES: Final = ("completed", "failed", "cancelled")
_CLASSES: Final = ("input", "output", "cache_read", "cache_write", "reasoning")
_BY: Final = (Dimension.MODEL_ALIAS, Dimension.PURPOSE, Dimension.ACCOUNT)
_BILLED: Final = "filter ispresent(total_usd)"


class CostDashboard(Construct):
    """`name` is the dashboard's. `functions` are by name."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        stage: Stage,
        functions: Mapping[str, Function],
        instance: rds.DatabaseInstance,
    ) -> None:
        super().__init__(scope, id)
        self.name = f"pantheon-{stage.name}-cost"
        self._stage = stage
        self._metrics = Metrics(stage.name)
        self._functions = functions
        self._instance = instance
        cloudwatch.Dashboard(
            self,
            "Dashboard",
            dashboard_name=self.name,
            default_interval=Duration.days(7),
            widgets=[self._now(), self._month(), self._hours(), self._tokens(), self._running(), self._top()],
        )

    def _total(self, period: Duration) -> dict[str, cloudwatch.IMetric]:
        return {
            account: self._metrics.one(Metric.MONTH_USD, "Maximum", period, {Dimension.ACCOUNT: account}, account)
            for account in _ACCOUNTS
        }

    def _now(self) -> list[cloudwatch.IWidget]:
        one = self._metrics.one
        total = math("tenant+platform+suspense", self._total(FIVE_MINUTES), FIVE_MINUTES, "month to date, USD")
        forecast = one(Metric.MONTH_FORECAST_USD, "Maximum", FIVE_MINUTES, label="forecast to the month's end, USD")
        suspense = one(Metric.SUSPENSE_USD, "Maximum", FIVE_MINUTES, label="in suspense, USD")
        used = one(Metric.PLATFORM_BUDGET_USED, "Maximum", FIVE_MINUTES, label="platform's budget used, %")
        drift = one(Metric.LEDGER_DRIFT_USD, "Maximum", FIVE_MINUTES, label="budgets and ledger apart, USD")
        return row(
            cloudwatch.SingleValueWidget(
                title="Now", metrics=[total, forecast, suspense, used, drift], width=24, height=4, full_precision=True
            )
        )

    def _month(self) -> list[cloudwatch.IWidget]:
        each = self._metrics.each
        return row(
            *(
                graph(
                    f"Month to date by {_title(by)}, USD", each(Metric.MONTH_USD, "Maximum", HOUR, [by]), stacked=True
                )
                for by in _BY
            )
        )

    def _hours(self) -> list[cloudwatch.IWidget]:
        """The gauges' differences. Where a month begins, one is negative, and below the axis."""
        each = self._metrics.each
        by_hour = [
            graph(f"An hour by {_title(by)}, USD", each(Metric.MONTH_USD, "Maximum", HOUR, [by], "DIFF({})"), width=6)
            for by in _BY
        ]
        turns: dict[str, cloudwatch.IMetric] = {
            status: self._metrics.one(Metric.TURNS, "Sum", DAY, {Dimension.STATUS: status}, status)
            for status in _STATUSES
        }
        ended = "+".join(f"FILL({status},0)" for status in _STATUSES)
        cost = "DIFF(tenant+platform+suspense)"
        per_turn = math(f"{cost}/({ended})", {**self._total(DAY), **turns}, DAY, "USD a turn")
        return row(*by_hour, graph("A turn, by day, USD", per_turn, width=6))

    def _tokens(self) -> list[cloudwatch.IWidget]:
        one, each = self._metrics.one, self._metrics.each
        classes: dict[str, cloudwatch.IMetric] = {
            name: one(Metric.MONTH_TOKENS, "Maximum", HOUR, {Dimension.TOKEN_CLASS: name}, name) for name in _CLASSES
        }
        share = math(
            "100*cache_read/(input+cache_read+cache_write)",
            {name: classes[name] for name in ("input", "cache_read", "cache_write")},
            HOUR,
            "of prompts read from the cache, %",
        )
        by_call = [Dimension.MODEL_ALIAS, Dimension.PURPOSE]
        return row(
            graph("Month to date by class, tokens", *classes.values(), width=6),
            graph("Cache hits, %", share, width=6),
            graph("An hour's prompts, tokens", each(Metric.INPUT_TOKENS, "Sum", HOUR, by_call), width=6),
            graph("An hour's answers, tokens", each(Metric.OUTPUT_TOKENS, "Sum", HOUR, by_call), width=6),
        )

    def _running(self) -> list[cloudwatch.IWidget]:
        stage = self._stage
        gb = stage.memory_mb / 1024
        lambda_usd = [self._lambda_cost(name, gb) for name in self._functions]
        zones = 2 if stage.multi_az else 1
        storage = rates.STORAGE_GIB_MONTH.usd * stage.storage_gib / rates.HOURS_A_MONTH
        database = zones * (rates.DATABASE_HOUR[stage.instance_type].usd + storage)
        proxy = rates.PROXY_HOUR.usd if stage.proxy else 0.0
        connections = aws("RDS", "DatabaseConnections", "Average", HOUR, self._database())
        hours: dict[str, cloudwatch.IMetric] = {"up": connections}
        database_usd = [math(f"up*0+{database:.4f}", hours, HOUR, "database")]
        if proxy:
            database_usd.append(math(f"up*0+{proxy:.4f}", hours, HOUR, "proxy"))
        stated = (
            f"Estimates, in USD, without free tiers. Lambda: {rates.LAMBDA_GB_SECOND.usd:.10f} a GB-second, "
            f"{rates.LAMBDA_REQUEST.usd:.7f} a request, {gb:.2f} GB. Database: {stage.instance_type}, {zones} zone(s), "
            f"{rates.DATABASE_HOUR[stage.instance_type].usd} an hour each, storage {rates.STORAGE_GIB_MONTH.usd} a GiB "
            f"and month. Proxy: {proxy:.3f} an hour. Not in it: endpoints, logs, traffic, metrics. "
            "See infra_cdk/rates.py; the bill is AWS's."
        )
        return row(
            graph("Lambda, an hour, USD", *lambda_usd, stacked=True),
            graph("Database, an hour, USD", *database_usd, stacked=True),
            cloudwatch.TextWidget(markdown=stated, width=8, height=6),
        )

    def _lambda_cost(self, name: str, gb: float) -> cloudwatch.IMetric:
        here = {"FunctionName": self._functions[name].function.function_name}
        using: dict[str, cloudwatch.IMetric] = {
            f"{name}_ms": aws("Lambda", "Duration", "Sum", HOUR, here),
            f"{name}_n": aws("Lambda", "Invocations", "Sum", HOUR, here),
        }
        rate = f"{gb * rates.LAMBDA_GB_SECOND.usd / 1000:.14f}"
        return math(f"{name}_ms*{rate}+{name}_n*{rates.LAMBDA_REQUEST.usd:.7f}", using, HOUR, name)

    def _database(self) -> dict[str, str]:
        return {"DBInstanceIdentifier": self._instance.instance_identifier}

    def _top(self) -> list[cloudwatch.IWidget]:
        groups = [f"/aws/lambda/pantheon-{self._stage.name}-{name}" for name in ("turns", "worker")]
        return row(
            *(
                cloudwatch.LogQueryWidget(
                    title=f"Dearest {title}",
                    log_group_names=groups,
                    query_lines=[
                        _BILLED,
                        f"stats sum(total_usd) as usd, sum(tenant_usd) as paid, count(*) as turns by {field}",
                        "sort usd desc",
                        "limit 20",
                    ],
                    view=cloudwatch.LogQueryVisualizationType.TABLE,
                    width=12,
                    height=8,
                )
                for title, field in (("tenants", "tenant_id"), ("sessions", "session_id"))
            )
        )


def _title(dimension: Dimension) -> str:
    return dimension.value.removeprefix("model_")
