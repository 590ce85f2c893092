"""Move callers to a release with CodeDeploy, and back if an alarm rings."""

from collections.abc import Sequence

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_codedeploy as codedeploy
from constructs import Construct

from infra_cdk import rhythm
from infra_cdk.alarm_descriptions import RUNBOOK
from infra_cdk.entries import RAISING, Entry
from infra_cdk.function import Function
from infra_cdk.metrics import Metrics
from infra_cdk.stages import Stage
from shared.names import Dimension, Metric


class Release(Construct):
    """One deployment group for each function. `alarms` undo a release.

    Lambda counts the errors that a function raises. A function that catches an error counts it as a failure itself."""

    def __init__(self, scope: Construct, id: str, *, functions: Sequence[Function], stage: Stage) -> None:
        super().__init__(scope, id)
        application = codedeploy.LambdaApplication(self, "Application")
        config = codedeploy.LambdaDeploymentConfig.from_lambda_deployment_config_name(self, "Config", stage.canary)
        self.alarms: list[cloudwatch.IAlarm] = []
        for function in functions:
            codedeploy.LambdaDeploymentGroup(
                self,
                function.entry.title,
                application=application,
                alias=function.alias,
                deployment_config=config,
                alarms=self._of(function, Metrics(stage.deployment)),
                auto_rollback=codedeploy.AutoRollbackConfig(
                    failed_deployment=True, stopped_deployment=True, deployment_in_alarm=True
                ),
            )

    def _of(self, function: Function, metrics: Metrics) -> list[cloudwatch.IAlarm]:
        """Make the alarms that undo a release of the function."""
        entry, period = function.entry, rhythm.failures(function.entry).period
        errors = function.alias.metric_errors(period=period, statistic="Sum")
        found = [self._alarm("Errors", errors, entry, _undo(entry, "raises errors"))]
        if entry not in RAISING:
            failures = metrics.one(Metric.FAILURES, "Sum", period, {Dimension.FUNCTION: entry.name})
            found.append(self._alarm("Failures", failures, entry, _undo(entry, "counts failures")))
        return found

    def _alarm(self, kind: str, metric: cloudwatch.IMetric, entry: Entry, description: str) -> cloudwatch.IAlarm:
        rings = rhythm.failures(entry)
        alarm = cloudwatch.Alarm(
            self,
            f"{entry.title}{kind}",
            metric=metric,
            alarm_description=description,
            threshold=rings.threshold,
            evaluation_periods=rings.periods,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        self.alarms.append(alarm)
        return alarm


def _undo(entry: Entry, fault: str) -> str:
    return (
        f"The function {entry.name} {fault}. CodeDeploy undoes a release of it that is in progress. "
        f"Read its log. {RUNBOOK}#canary"
    )
