"""Name Pantheon's metrics and their dimensions for alarms and dashboards.

All names come from `shared/names.py`, and each metric has the stage's `service`, so no stage reads another one's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from shared.names import METRICS_NAMESPACE, SERVICE, Dimension, Metric

MINUTE: Final = Duration.minutes(1)
FIVE_MINUTES: Final = Duration.minutes(5)
QUARTER: Final = Duration.minutes(15)
HOUR: Final = Duration.hours(1)
DAY: Final = Duration.days(1)
_NONE: Final[Mapping[Dimension, str]] = {}
# The accounts of the ledger. Their sum is the whole cost.
ACCOUNTS: Final = ("tenant", "platform", "suspense")
TOTAL: Final = "+".join(ACCOUNTS)


@dataclass(frozen=True)
class Metrics:
    """The metrics of one stage."""

    stage: str

    @property
    def service(self) -> str:
        return f"{SERVICE}-{self.stage}"

    def one(
        self,
        metric: Metric,
        statistic: str,
        period: Duration,
        dimensions: Mapping[Dimension, str] = _NONE,
        label: str | None = None,
    ) -> cloudwatch.Metric:
        """Return one series, of the whole stage or of these values of dimensions."""
        named = {dimension.value: value for dimension, value in dimensions.items()}
        return cloudwatch.Metric(
            namespace=METRICS_NAMESPACE,
            metric_name=metric.value,
            dimensions_map={"service": self.service, **named},
            statistic=statistic,
            period=period,
            label=label,
        )

    def month(self, period: Duration) -> dict[str, cloudwatch.IMetric]:
        """Return the cost of the month (USD) by account, for an expression with `TOTAL`."""
        return {
            account: self.one(Metric.MONTH_USD, "Maximum", period, {Dimension.ACCOUNT: account}, account)
            for account in ACCOUNTS
        }

    def each(
        self, metric: Metric, statistic: str, period: Duration, dimensions: Sequence[Dimension], around: str = "{}"
    ) -> cloudwatch.MathExpression:
        """Return a series for each value of the dimensions. `around` is an expression with {} for the search."""
        schema = ",".join([METRICS_NAMESPACE, "service", *(dimension.value for dimension in dimensions)])
        wanted = f'service="{self.service}" MetricName="{metric.value}"'
        search = f"SEARCH('{{{schema}}} {wanted}', '{statistic}', {int(period.to_seconds())})"
        return cloudwatch.MathExpression(
            expression=around.replace("{}", search), using_metrics={}, label="", period=period
        )


def math(expression: str, using: Mapping[str, cloudwatch.IMetric], period: Duration, label: str) -> cloudwatch.IMetric:
    return cloudwatch.MathExpression(expression=expression, using_metrics=dict(using), period=period, label=label)


def aws(
    service: str, name: str, statistic: str, period: Duration, dimensions: Mapping[str, str], label: str | None = None
) -> cloudwatch.Metric:
    """Return a metric of AWS."""
    return cloudwatch.Metric(
        namespace=f"AWS/{service}",
        metric_name=name,
        dimensions_map=dict(dimensions),
        statistic=statistic,
        period=period,
        label=label,
    )


def graph(title: str, *metrics: cloudwatch.IMetric, width: int = 8, stacked: bool = False) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(
        title=title,
        left=list(metrics),
        width=width,
        height=6,
        stacked=stacked,
        left_y_axis=cloudwatch.YAxisProps(min=0, show_units=False),
    )


def row(*widgets: cloudwatch.IWidget) -> list[cloudwatch.IWidget]:
    return list(widgets)
