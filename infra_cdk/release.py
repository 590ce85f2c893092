"""How a release reaches its callers: by CodeDeploy, as the stage says, and back again when an alarm rings."""

from collections.abc import Sequence
from typing import Final

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_codedeploy as codedeploy
from constructs import Construct

from infra_cdk.entries import Entry
from infra_cdk.function import Function
from infra_cdk.metrics import MINUTE, Metrics
from infra_cdk.stages import Stage
from shared.names import Metric

# In a minute. One invocation that failed may be the client's doing or AWS's; three are a pattern.
_FAILURES: Final = 3


class Release(Construct):
    """One deployment group for each function. What answers HTTP answers errors, too, instead of failing: those are
    counted by a metric, which rings for all of them. `alarms` are those that undo a release."""

    def __init__(self, scope: Construct, id: str, *, functions: Sequence[Function], stage: Stage) -> None:
        super().__init__(scope, id)
        application = codedeploy.LambdaApplication(self, "Application")
        config = codedeploy.LambdaDeploymentConfig.from_lambda_deployment_config_name(self, "Config", stage.canary)
        self.alarms: list[cloudwatch.IAlarm] = []
        metric = Metrics(stage.deployment).one(Metric.UNEXPECTED_ERRORS, "Sum", MINUTE)
        unexpected = self._alarm("Unexpected", metric, "Requests were answered with an error that nobody expected")
        for function in functions:
            entry = function.entry
            metric = function.alias.metric_errors(period=MINUTE, statistic="Sum")
            alarms = [self._alarm(f"{entry.title}Errors", metric, f"The function {entry.name} fails")]
            codedeploy.LambdaDeploymentGroup(
                self,
                entry.title,
                application=application,
                alias=function.alias,
                deployment_config=config,
                alarms=[*alarms, *self._of(entry, unexpected)],
                auto_rollback=codedeploy.AutoRollbackConfig(
                    failed_deployment=True, stopped_deployment=True, deployment_in_alarm=True
                ),
            )

    def _of(self, entry: Entry, unexpected: cloudwatch.Alarm) -> list[cloudwatch.Alarm]:
        return [unexpected] if entry.serves else []

    def _alarm(self, id: str, metric: cloudwatch.IMetric, description: str) -> cloudwatch.Alarm:
        alarm = cloudwatch.Alarm(
            self,
            id,
            metric=metric,
            alarm_description=description,
            threshold=_FAILURES,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        self.alarms.append(alarm)
        return alarm
