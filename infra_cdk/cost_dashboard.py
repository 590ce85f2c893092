"""Make the cost dashboard: the models by the ledger, Lambda and the database by an estimate.

The cost of models comes only from the gauges that the sweeper reads from the ledger. The cost of Lambda and the
database is AWS's metrics times the rates in infra_cdk/rates.py.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_rds as rds
from constructs import Construct

from infra_cdk import rates
from infra_cdk.function import Function
from infra_cdk.metrics import DAY, FIVE_MINUTES, HOUR, TOTAL, Metrics, aws, graph, math, row
from infra_cdk.stages import Stage
from shared.names import Dimension, Metric

_STATUSES: Final = ("completed", "failed", "cancelled")
_CLASSES: Final = ("input", "output", "cache_read", "cache_write", "reasoning")
# Dimensions by the words of a bill.
_BY: Final[Mapping[Dimension, str]] = {
    Dimension.MODEL_ALIAS: "model",
    Dimension.PURPOSE: "purpose",
    Dimension.ACCOUNT: "account",
    Dimension.REASON: "reason",
    Dimension.PROVIDER: "provider",
}
_BILLED: Final = "filter ispresent(total_usd)"
# Read the sweeper's log. The newest line of each tenant and month is valid.
_DRAWN: Final = (
    'filter message = "allowance drawn"',
    "stats latest(drawn_usd) as drawn, latest(drawn_suspense_usd) as suspense by month, tenant_id",
    "sort month desc, drawn desc",
    "limit 20",
)


class CostDashboard(Construct):
    """The cost dashboard, called `name`. `functions` are by name."""

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
        self.name = f"{stage.prefix}-cost"
        self._stage = stage
        self._metrics = Metrics(stage.deployment)
        self._functions = functions
        self._instance = instance
        cloudwatch.Dashboard(
            self,
            "Dashboard",
            dashboard_name=self.name,
            default_interval=Duration.days(7),
            widgets=[
                self._now(),
                self._month(),
                self._hours(),
                self._single(),
                self._tokens(),
                self._running(),
                self._top(),
            ],
        )

    def _now(self) -> list[cloudwatch.IWidget]:
        def newest(metric: Metric, label: str) -> cloudwatch.Metric:
            return self._metrics.one(metric, "Maximum", FIVE_MINUTES, label=label)

        total = math(TOTAL, self._metrics.month(FIVE_MINUTES), FIVE_MINUTES, "this month (USD)")
        return row(
            cloudwatch.SingleValueWidget(
                title="Cost now",
                metrics=[
                    total,
                    newest(Metric.MONTH_FORECAST_USD, "forecast for the month (USD)"),
                    newest(Metric.HOUR_USD, "this hour (USD)"),
                    newest(Metric.SUSPENSE_USD, "in suspense (USD)"),
                    newest(Metric.PLATFORM_BUDGET_USED, "platform's limit used (%)"),
                    newest(Metric.LEDGER_DRIFT_USD, "budgets differ from the ledger (USD)"),
                ],
                width=24,
                height=4,
                full_precision=True,
            )
        )

    def _month(self) -> list[cloudwatch.IWidget]:
        each = self._metrics.each
        return row(
            *(
                graph(
                    f"Cost this month by {name} (USD)",
                    each(Metric.MONTH_USD, "Maximum", HOUR, [by]),
                    stacked=True,
                )
                for by, name in _BY.items()
            )
        )

    def _hours(self) -> list[cloudwatch.IWidget]:
        """Show the differences of the gauges. The first one of a month is negative and below the axis."""
        each = self._metrics.each
        return row(
            *(
                graph(f"Cost per hour by {name} (USD)", each(Metric.MONTH_USD, "Maximum", HOUR, [by], "DIFF({})"))
                for by, name in _BY.items()
            )
        )

    def _single(self) -> list[cloudwatch.IWidget]:
        one = self._metrics.one
        turns: dict[str, cloudwatch.IMetric] = {
            status: one(Metric.TURNS, "Sum", DAY, {Dimension.STATUS: status}, status) for status in _STATUSES
        }
        ended = "+".join(f"FILL({status},0)" for status in _STATUSES)
        per_turn = math(f"DIFF({TOTAL})/({ended})", {**self._metrics.month(DAY), **turns}, DAY, "USD a turn")
        return row(
            graph(
                "Cost of this hour so far and of the usual hour (USD)",
                one(Metric.HOUR_USD, "Maximum", FIVE_MINUTES, label="this hour"),
                one(Metric.USUAL_HOUR_USD, "Maximum", FIVE_MINUTES, label="same hour, median of 7 days"),
            ),
            graph("Cost per turn by day (USD)", per_turn),
            graph("Cost in suspense (USD)", one(Metric.SUSPENSE_USD, "Maximum", HOUR, label="in suspense")),
        )

    def _tokens(self) -> list[cloudwatch.IWidget]:
        one, each = self._metrics.one, self._metrics.each
        classes: dict[str, cloudwatch.IMetric] = {
            name: one(Metric.MONTH_TOKENS, "Maximum", HOUR, {Dimension.TOKEN_CLASS: name}, name) for name in _CLASSES
        }
        share = math(
            "100*cache_read/(input+cache_read+cache_write)",
            {name: classes[name] for name in ("input", "cache_read", "cache_write")},
            HOUR,
            "prompt tokens from a cache (%)",
        )
        by_call = [Dimension.MODEL_ALIAS, Dimension.PURPOSE]
        return row(
            graph("Tokens this month by class", *classes.values(), width=6),
            graph("Prompt tokens read from a cache (%)", share, width=6),
            graph(
                "Prompt tokens per hour by model and purpose", each(Metric.INPUT_TOKENS, "Sum", HOUR, by_call), width=6
            ),
            graph(
                "Answer tokens per hour by model and purpose", each(Metric.OUTPUT_TOKENS, "Sum", HOUR, by_call), width=6
            ),
        )

    def _running(self) -> list[cloudwatch.IWidget]:
        stage = self._stage
        gb = stage.memory_mb / 1024
        lambda_usd = [self._lambda_cost(name, gb) for name in self._functions]
        zones = 2 if stage.multi_az else 1
        storage = rates.STORAGE_GIB_MONTH.usd * stage.storage_gib / rates.HOURS_A_MONTH
        rate = rates.DATABASE_HOUR.get(stage.instance_type)
        database = zones * ((rate.usd if rate else 0.0) + storage)
        hour = f"{rate.usd} an hour each" if rate else "whose hours have no rate and are not included"
        proxy = rates.PROXY_HOUR.usd if stage.proxy else 0.0
        connections = aws("RDS", "DatabaseConnections", "Average", HOUR, self._database())
        hours: dict[str, cloudwatch.IMetric] = {"up": connections}
        database_usd = [math(f"up*0+{database:.4f}", hours, HOUR, "database")]
        if proxy:
            database_usd.append(math(f"up*0+{proxy:.4f}", hours, HOUR, "proxy"))
        stated = (
            "Lambda and database are estimates in USD, without free tiers. "
            f"Lambda: {rates.LAMBDA_GB_SECOND.usd:.10f} a GB-second, {rates.LAMBDA_REQUEST.usd:.7f} a request, "
            f"{gb:.2f} GB. Database: {stage.instance_type}, {zones} zone(s), "
            f"{hour}, storage {rates.STORAGE_GIB_MONTH.usd} a GiB "
            f"and month. Proxy: {proxy:.3f} an hour. Not included: endpoints, logs, traffic, metrics. "
            "The rates are in infra_cdk/rates.py. AWS's bill has the exact cost."
        )
        return row(
            graph("Cost of Lambda per hour (USD)", *lambda_usd, stacked=True),
            graph("Cost of the database per hour (USD)", *database_usd, stacked=True),
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
        billed = [
            self._table(
                title,
                ("turns", "worker"),
                (
                    _BILLED,
                    f"stats sum(total_usd) as usd, sum(tenant_usd) as paid, count(*) as turns by {field}",
                    "sort usd desc",
                    "limit 20",
                ),
            )
            for title, field in (
                ("Most expensive tenants (USD)", "tenant_id"),
                ("Most expensive sessions (USD)", "session_id"),
            )
        ]
        return row(*billed, self._table("Allowance drawn by tenant (USD)", ("sweeper",), _DRAWN))

    def _table(self, title: str, functions: Sequence[str], query: Sequence[str]) -> cloudwatch.LogQueryWidget:
        """Make a table of a query over the logs of functions."""
        return cloudwatch.LogQueryWidget(
            title=title,
            log_group_names=[f"/aws/lambda/{self._stage.prefix}-{name}" for name in functions],
            query_lines=list(query),
            view=cloudwatch.LogQueryVisualizationType.TABLE,
            width=8,
            height=8,
        )
