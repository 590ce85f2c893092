"""Make the health dashboard: turns, calls, queue, invariants, functions and database."""

from collections.abc import Mapping
from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from infra_cdk.database import Database
from infra_cdk.function import Function
from infra_cdk.metrics import FIVE_MINUTES, HOUR, MINUTE, Metrics, aws, graph, row
from infra_cdk.queue import Queue
from infra_cdk.stages import Stage
from shared.names import Dimension, Metric

_PERCENTILES: Final = ("p50", "p95", "p99")
_BY_CALL: Final = (Dimension.MODEL_ALIAS, Dimension.PURPOSE)
_STARTS: Final = (
    'filter @type = "REPORT"',
    'parse @message "Restore Duration: * ms" as restored',
    "stats count(@initDuration) as cold, count(restored) as restores, count(*) as invocations by bin(1h)",
)


class HealthDashboard(Construct):
    """The health dashboard, called `name`. `functions` are by name. `models` has aliases by the id on Bedrock."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        stage: Stage,
        functions: Mapping[str, Function],
        database: Database,
        queue: Queue,
        models: Mapping[str, str],
    ) -> None:
        super().__init__(scope, id)
        self.name = f"{stage.prefix}-health"
        self._metrics = Metrics(stage.deployment)
        self._functions = functions
        self._models = models
        widgets = [self._turns(), self._ends(), self._calls(), self._waiting(queue), self._truth()]
        cloudwatch.Dashboard(
            self,
            "Dashboard",
            dashboard_name=self.name,
            default_interval=Duration.days(1),
            widgets=[*widgets, self._lambda(stage), self._database(database)],
        )

    def _turns(self) -> list[cloudwatch.IWidget]:
        one = self._metrics.one
        return row(
            graph(
                "Turns per 5 minutes by status",
                self._metrics.each(Metric.TURNS, "Sum", FIVE_MINUTES, [Dimension.STATUS]),
            ),
            *(
                graph(f"{title} (seconds)", *(one(metric, p, FIVE_MINUTES, label=p) for p in _PERCENTILES))
                for title, metric in (
                    ("Turn duration", Metric.TURN_DURATION),
                    ("Turn duration without model calls", Metric.TURN_OVERHEAD),
                )
            ),
        )

    def _ends(self) -> list[cloudwatch.IWidget]:
        return row(
            self._sums(
                "Turns left to the queue per 5 minutes",
                Metric.HANDED_OVER_TURNS,
                Metric.ABANDONED_TURNS,
                Metric.UNSENT_TURNS,
            ),
            self._sums(
                "Requests answered with an error per 5 minutes", Metric.UNEXPECTED_ERRORS, Metric.JOURNAL_UNAVAILABLE
            ),
            self._sums("Turn conflicts per 5 minutes", Metric.TURN_CONFLICTS),
        )

    def _calls(self) -> list[cloudwatch.IWidget]:
        each = self._metrics.each
        return row(
            graph("Model calls per 5 minutes", each(Metric.CALLS, "Sum", FIVE_MINUTES, _BY_CALL), width=6),
            graph(
                "Model call duration, p95 (seconds)", each(Metric.CALL_DURATION, "p95", FIVE_MINUTES, _BY_CALL), width=6
            ),
            graph(
                "Calls with unknown outcome per 5 minutes",
                each(Metric.UNKNOWN_CALLS, "Sum", FIVE_MINUTES, _BY_CALL),
                width=6,
            ),
            graph(
                "Fallbacks per 5 minutes",
                each(Metric.FALLBACK_USED, "Sum", FIVE_MINUTES, [Dimension.COMPONENT]),
                width=6,
            ),
        )

    def _waiting(self, queue: Queue) -> list[cloudwatch.IWidget]:
        gauge = self._metrics.one
        age = queue.queue.metric_approximate_age_of_oldest_message(period=MINUTE, statistic="Maximum")
        depth, dead = (
            one.metric_approximate_number_of_messages_visible(period=MINUTE, statistic="Maximum", label=label)
            for one, label in ((queue.queue, "messages"), (queue.dead, "dead letters"))
        )
        active = (gauge(metric, "Maximum", MINUTE) for metric in (Metric.ACTIVE_TURNS, Metric.DUE_TURNS))
        return row(
            graph("Active turns", *active, width=6),
            graph(
                "Age of the oldest active turn (seconds)", gauge(Metric.OLDEST_ACTIVE_TURN, "Maximum", MINUTE), width=6
            ),
            graph("Age of the oldest message (seconds)", age, width=6),
            graph("Messages in the queues", depth, dead, width=6),
        )

    def _truth(self) -> list[cloudwatch.IWidget]:
        one = self._metrics.one
        invariants = (Metric.BROKEN_INVARIANTS, Metric.UNCHECKED_INVARIANTS)
        differences = (Metric.UNJOURNALED_CALLS, Metric.DRIFTED_CALLS, Metric.UNREADABLE_RECORDS)
        return row(
            graph("Broken and unchecked invariants", *(one(metric, "Maximum", MINUTE) for metric in invariants)),
            graph("Differences from the provider's record", *(one(metric, "Maximum", HOUR) for metric in differences)),
            graph(
                "Calls in suspense, and reconciled per hour",
                one(Metric.SUSPENDED_CALLS, "Maximum", HOUR),
                one(Metric.RECONCILED_CALLS, "Sum", HOUR),
            ),
        )

    def _lambda(self, stage: Stage) -> list[cloudwatch.IWidget]:
        def by_function(name: str, statistic: str) -> list[cloudwatch.IMetric]:
            return [
                aws("Lambda", name, statistic, FIVE_MINUTES, {"FunctionName": f.function.function_name}, label)
                for label, f in self._functions.items()
            ]

        refused = [
            aws("Bedrock", "InvocationThrottles", "Sum", FIVE_MINUTES, {"ModelId": model_id}, name)
            for model_id, name in self._models.items()
        ]
        starts = cloudwatch.LogQueryWidget(
            title="Cold starts per hour",
            log_group_names=[f"/aws/lambda/{stage.prefix}-{name}" for name in ("api", "turns", "worker")],
            query_lines=list(_STARTS),
            view=cloudwatch.LogQueryVisualizationType.TABLE,
            width=6,
            height=6,
        )
        return row(
            graph("Throttled requests per 5 minutes", *by_function("Throttles", "Sum"), *refused, width=6),
            graph("Function errors per 5 minutes", *by_function("Errors", "Sum"), width=6),
            graph("Concurrent invocations", *by_function("ConcurrentExecutions", "Maximum"), width=6),
            starts,
        )

    def _database(self, database: Database) -> list[cloudwatch.IWidget]:
        here = {"DBInstanceIdentifier": database.instance.instance_identifier}
        widgets = [
            graph("Database connections", aws("RDS", "DatabaseConnections", "Maximum", MINUTE, here), width=6),
            graph("Database processor (%)", aws("RDS", "CPUUtilization", "Average", FIVE_MINUTES, here), width=6),
            graph("Free database storage (bytes)", aws("RDS", "FreeStorageSpace", "Minimum", HOUR, here), width=6),
        ]
        if database.proxy:
            widgets.append(graph("Pinned proxy connections", database.pinned(MINUTE), width=6))
        return row(*widgets)

    def _sums(self, title: str, *metrics: Metric) -> cloudwatch.GraphWidget:
        return graph(title, *(self._metrics.one(metric, "Sum", FIVE_MINUTES) for metric in metrics))
