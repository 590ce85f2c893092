"""The alarms: few, each with its section in docs/runbook.md, and each worth what it interrupts.

An alarm pages where money or turns are lost while nobody looks. Everything else is a ticket. A missing metric rings
only where nobody would notice otherwise: the heartbeat of each scheduled function, the sweeper's age of turns, and the
cost that it reads.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra_cdk import rates, rhythm
from infra_cdk.database import Database
from infra_cdk.entries import SCHEDULED, SWEEPER
from infra_cdk.function import Function
from infra_cdk.metrics import FIVE_MINUTES, HOUR, MINUTE, QUARTER, TOTAL, Metrics, aws, math
from infra_cdk.notifications import Notifications
from infra_cdk.queue import Queue
from infra_cdk.stages import Stage
from shared.names import Dimension, Metric

# A turn may be handed over once or twice, a quarter of an hour each.
OLDEST_TURN_S: Final = 45 * 60
UNKNOWN_PER_CENT: Final = 2
FALLBACK_PER_CENT: Final = 10
BUDGET_PER_CENT: Final = 80
# Until so much of the month's budget is spent, a forecast says little: it multiplies one hour by hundreds.
FORECAST_FROM_PER_CENT: Final = 10
# An hour that costs three times the usual one. The usual hour is at least an even hour of the month's budget.
RUNAWAY_PER_CENT: Final = 300
THROTTLES: Final = 10
# CloudWatch takes no more.
METRICS_AN_ALARM: Final = 10
# Of fewer in an hour, a share says nothing.
FEWEST_CALLS: Final = 50
FEWEST_TURNS: Final = 20
_AT_LEAST: Final = cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD
_MORE: Final = cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD
_LESS: Final = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD


class Alarms(Construct):
    """An alarm's id is its section's title in the runbook. `models` are the ids of those on Bedrock. `released` are the
    alarms that a release watches."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        stage: Stage,
        functions: Mapping[str, Function],
        database: Database,
        queue: Queue,
        graphs_queue: Queue | None,
        models: Sequence[str],
        notifications: Notifications,
        released: Sequence[cloudwatch.IAlarm],
    ) -> None:
        super().__init__(scope, id)
        self._stage = stage
        self._metrics = Metrics(stage.deployment)
        self._pages(queue, graphs_queue, notifications.page)
        self._cost(notifications.page, notifications.ticket)
        self._tickets(notifications.ticket)
        self._scheduled(notifications.ticket)
        self._throttles(functions, models, notifications.ticket)
        if database.proxy:
            most = max(1, stage.connections // 2)
            pinned = database.pinned(FIVE_MINUTES)
            self._alarm("PinnedSessions", pinned, most, notifications.ticket)
        self._canary(released, notifications.ticket)

    def _pages(self, queue: Queue, graphs_queue: Queue | None, page: sns.Topic) -> None:
        one = self._metrics.one
        self._alarm("BrokenInvariant", one(Metric.BROKEN_INVARIANTS, "Maximum", MINUTE), 1, page)
        self._alarm("UnjournaledCall", one(Metric.UNJOURNALED_CALLS, "Maximum", FIVE_MINUTES), 1, page)
        for number, one_queue in (("", queue), ("Graphs", graphs_queue)):
            if one_queue is not None:
                dead = one_queue.dead.metric_approximate_number_of_messages_visible(period=MINUTE, statistic="Maximum")
                self._alarm("DeadLetter", dead, 1, page, number=number)
        silent = rhythm.silence(SWEEPER)
        self._alarm(
            "OldestActiveTurn",
            one(Metric.OLDEST_ACTIVE_TURN, "Maximum", silent.period),
            OLDEST_TURN_S,
            page,
            periods=silent.periods,
            missing=cloudwatch.TreatMissingData.BREACHING,
        )
        self._alarm("LedgerDrift", one(Metric.LEDGER_DRIFT_USD, "Maximum", MINUTE), 0, page, operator=_MORE)

    def _cost(self, page: sns.Topic, ticket: sns.Topic) -> None:
        """The ledger against the stage's budget: this hour, this month, and the month's forecast."""
        one, budget = self._metrics.one, self._stage.budget_usd
        even = f"{budget / rates.HOURS_A_MONTH:.6f}"
        hours: dict[str, cloudwatch.IMetric] = {
            name: one(metric, "Maximum", FIVE_MINUTES)
            for name, metric in (("now_usd", Metric.HOUR_USD), ("usual_usd", Metric.USUAL_HOUR_USD))
        }
        runaway = f"100*now_usd/IF(usual_usd > {even}, usual_usd, {even})"
        ratio = math(runaway, hours, FIVE_MINUTES, "this hour of the usual one, %")
        self._alarm("CostRunsAway", ratio, RUNAWAY_PER_CENT, page)
        month = self._metrics.month(FIVE_MINUTES)
        total = math(TOTAL, month, FIVE_MINUTES, "this month, USD")
        self._alarm("MonthCost", total, budget * BUDGET_PER_CENT / 100, ticket)
        forecast = math(
            f"IF({TOTAL} >= {budget * FORECAST_FROM_PER_CENT / 100:g}, forecast, 0)",
            {**month, "forecast": one(Metric.MONTH_FORECAST_USD, "Maximum", FIVE_MINUTES)},
            FIVE_MINUTES,
            "forecast for the month, USD",
        )
        self._alarm("MonthForecast", forecast, budget, ticket)
        gauges: dict[str, cloudwatch.IMetric] = {
            name: one(metric, "SampleCount", QUARTER)
            for name, metric in (("months", Metric.MONTH_FORECAST_USD), ("hours", Metric.HOUR_USD))
        }
        # The sum is missing where one of them is.
        read = math("months+hours", gauges, QUARTER, "gauges of cost")
        self._alarm("CostUnread", read, 1, ticket, operator=_LESS, missing=cloudwatch.TreatMissingData.BREACHING)

    def _tickets(self, ticket: sns.Topic) -> None:
        one = self._metrics.one
        unknown = math(
            f"IF(calls >= {FEWEST_CALLS}, 100*unknown/calls, 0)",
            {"calls": one(Metric.CALLS, "Sum", HOUR), "unknown": one(Metric.UNKNOWN_CALLS, "Sum", HOUR)},
            HOUR,
            "calls of unknown outcome, %",
        )
        self._alarm("UnknownRate", unknown, UNKNOWN_PER_CENT, ticket)
        turns = one(Metric.TURN_DURATION, "SampleCount", HOUR)
        fallback = math(
            f"IF(turns >= {FEWEST_TURNS}, 100*fallbacks/turns, 0)",
            {"turns": turns, "fallbacks": one(Metric.FALLBACK_USED, "Sum", HOUR)},
            HOUR,
            "fallbacks of 100 turns",
        )
        self._alarm("FallbackRate", fallback, FALLBACK_PER_CENT, ticket)
        used = one(Metric.PLATFORM_BUDGET_USED, "Maximum", FIVE_MINUTES)
        self._alarm("PlatformBudget", used, BUDGET_PER_CENT, ticket)

    def _scheduled(self, ticket: sns.Topic) -> None:
        """Runs that are missing, for every function with a schedule, and invariants that its runs did not reach."""
        one, swept = self._metrics.one, rhythm.silence(SWEEPER)
        unchecked = one(Metric.UNCHECKED_INVARIANTS, "Maximum", swept.period)
        self._alarm("InvariantsUnchecked", unchecked, 1, ticket, periods=swept.periods)
        for entry in SCHEDULED:
            missed = rhythm.silence(entry)
            self._alarm(
                f"{entry.title}Silent",
                one(Metric.SUCCESSFUL_RUNS, "Sum", missed.period, {Dimension.FUNCTION: entry.name}),
                missed.threshold,
                ticket,
                periods=missed.periods,
                operator=_LESS,
                missing=cloudwatch.TreatMissingData.BREACHING,
            )

    def _throttles(self, functions: Mapping[str, Function], models: Sequence[str], ticket: sns.Topic) -> None:
        """Of what somebody waits for. An alarm takes ten metrics at most, so more of them make a second one."""
        entries = {name: f.entry for name, f in functions.items()}
        waited_for = {name for name, entry in entries.items() if entry.serves or entry.asks or entry.reads_keys}
        serving = {name: f for name, f in functions.items() if name in waited_for}
        using: dict[str, cloudwatch.IMetric] = {
            name: aws("Lambda", "Throttles", "Sum", FIVE_MINUTES, {"FunctionName": f.function.function_name})
            for name, f in serving.items()
        }
        for number, model_id in enumerate(models):
            here = {"ModelId": model_id}
            using[f"model{number}"] = aws("Bedrock", "InvocationThrottles", "Sum", FIVE_MINUTES, here)
        for start in range(0, len(using), METRICS_AN_ALARM):
            part = dict(list(using.items())[start : start + METRICS_AN_ALARM])
            total = math("+".join(f"FILL({name},0)" for name in part), part, FIVE_MINUTES, "throttles")
            part_number = "" if start == 0 else str(start // METRICS_AN_ALARM + 1)
            self._alarm("Throttles", total, THROTTLES, ticket, number=part_number)

    def _canary(self, released: Sequence[cloudwatch.IAlarm], ticket: sns.Topic) -> None:
        """A release that is being shifted is put back by CodeDeploy; this tells somebody, once for all of them."""
        composite = cloudwatch.CompositeAlarm(
            self,
            "Canary",
            composite_alarm_name=f"{self._stage.prefix}-Canary",
            alarm_description=_runbook("Canary"),
            alarm_rule=cloudwatch.AlarmRule.any_of(
                *(cloudwatch.AlarmRule.from_alarm(alarm, cloudwatch.AlarmState.ALARM) for alarm in released)
            ),
        )
        composite.add_alarm_action(actions.SnsAction(ticket))

    def _alarm(
        self,
        id: str,
        metric: cloudwatch.IMetric,
        threshold: float,
        topic: sns.Topic,
        *,
        periods: int = 1,
        operator: cloudwatch.ComparisonOperator = _AT_LEAST,
        missing: cloudwatch.TreatMissingData = cloudwatch.TreatMissingData.NOT_BREACHING,
        number: str = "",
    ) -> None:
        alarm = cloudwatch.Alarm(
            self,
            f"{id}{number}",
            alarm_name=f"{self._stage.prefix}-{id}{number}",
            metric=metric,
            alarm_description=_runbook(id),
            threshold=threshold,
            evaluation_periods=periods,
            comparison_operator=operator,
            treat_missing_data=missing,
        )
        alarm.add_alarm_action(actions.SnsAction(topic))


def _runbook(id: str) -> str:
    return f"docs/runbook.md#{id.lower()}"
