"""Pantheon's own metrics as the stack reads them, with the dimensions that they are emitted with.

The rule this file protects: a name or a dimension that is not in `shared/names.py` cannot be read, and no stage reads
another one's.
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
# The accounts of the ledger. Together they are the whole cost.
ACCOUNTS: Final = ("tenant", "platform", "suspense")
TOTAL: Final = "+".join(ACCOUNTS)


@dataclass(frozen=True)
class Metrics:
    """Those of one stage."""

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
        """One series: of the whole stage, or of the dimensions' values."""
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
        """The month to date in USD by account, for an expression with `TOTAL`."""
        return {
            account: self.one(Metric.MONTH_USD, "Maximum", period, {Dimension.ACCOUNT: account}, account)
            for account in ACCOUNTS
        }

    def each(
        self, metric: Metric, statistic: str, period: Duration, dimensions: Sequence[Dimension], around: str = "{}"
    ) -> cloudwatch.MathExpression:
        """A series for each value of the dimensions; `around` is an expression with {} in the search's place."""
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
    """A metric of AWS's own."""
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
