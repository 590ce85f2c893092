"""Stop a stage's database outside working hours, and start it again.

Meanwhile EventBridge invokes no function that needs the database, and no alarm notifies anybody.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from aws_cdk import Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from constructs import Construct, IConstruct

from infra_cdk.places import Awake

# RDS takes some minutes to start, and the alarms need new data before they are unmuted.
START_MINUTES: Final = 30
_DAY: Final = 24 * 60
_SDK: Final = "arn:{}:scheduler:::aws-sdk:{}"
# CloudWatch's limit for one rule.
_MOST_ALARMS: Final = 100


class Nights(Construct):
    """Schedules that stop and start `instance` and the rules in `clock`, and rules that mute `alarms` meanwhile."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        awake: Awake,
        instance: str,
        instance_arn: str,
        clock: Sequence[events.Rule],
        alarms: Sequence[str],
    ) -> None:
        super().__init__(scope, id)
        self._awake = awake
        self._role = iam.Role(self, "Role", assumed_by=self._scheduler())
        self._allow(("rds:StartDBInstance", "rds:StopDBInstance"), [instance_arn])
        self._allow(("events:DisableRule", "events:EnableRule"), [rule.rule_arn for rule in clock])
        self._at("Stop", awake.stop, "rds:stopDBInstance", {"DbInstanceIdentifier": instance})
        self._at("Start", awake.start, "rds:startDBInstance", {"DbInstanceIdentifier": instance})
        for rule in clock:
            name = {"Name": rule.rule_name}
            self._at(f"Pause{rule.node.id}", awake.stop, "eventbridge:disableRule", name)
            self._at(f"Go{rule.node.id}", awake.start, "eventbridge:enableRule", name)
        for start in range(0, len(alarms), _MOST_ALARMS):
            self._mute(alarms[start : start + _MOST_ALARMS], "" if start == 0 else str(start))

    def _scheduler(self) -> iam.IPrincipal:
        here = {"StringEquals": {"aws:SourceAccount": Stack.of(self).account}}
        return iam.ServicePrincipal("scheduler.amazonaws.com", conditions=here)

    def _allow(self, actions: Iterable[str], arns: Sequence[str]) -> None:
        self._role.add_to_policy(iam.PolicyStatement(actions=list(actions), resources=list(arns)))

    def _at(self, id: str, time: str, call: str, parameters: dict[str, Any]) -> None:
        """Let EventBridge Scheduler call AWS's API once each working day."""
        stack = Stack.of(self)
        hour, _, minute = time.partition(":")
        days = "* * ?" if self._awake.weekends else "? * MON-FRI"
        made = scheduler.CfnSchedule(
            self,
            id,
            schedule_expression=f"cron({int(minute)} {int(hour)} {days} *)",
            schedule_expression_timezone=self._awake.timezone,
            flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
            target=scheduler.CfnSchedule.TargetProperty(
                arn=_SDK.format(stack.partition, call),
                role_arn=self._role.role_arn,
                input=stack.to_json_string(parameters),
            ),
        )
        made.node.add_dependency(self._role)

    def _mute(self, alarms: Sequence[str], number: str) -> None:
        """Mute the alarms at night. An alarm that rings at the end notifies then."""
        night = _DAY - self._awake.minutes + START_MINUTES
        if self._awake.weekends:
            self._rule(f"Night{number}", "*", night, alarms)
        else:
            self._rule(f"Night{number}", "MON-THU", night, alarms)
            self._rule(f"Weekend{number}", "FRI", night + 2 * _DAY, alarms)

    def _rule(self, id: str, days: str, minutes: int, alarms: Sequence[str]) -> None:
        hour, _, minute = self._awake.stop.partition(":")
        cloudwatch.CfnAlarmMuteRule(
            self,
            id,
            rule=cloudwatch.CfnAlarmMuteRule.RuleProperty(
                schedule=cloudwatch.CfnAlarmMuteRule.ScheduleProperty(
                    expression=f"cron({int(minute)} {int(hour)} * * {days})",
                    duration=f"PT{minutes}M",
                    timezone=self._awake.timezone,
                )
            ),
            mute_targets=cloudwatch.CfnAlarmMuteRule.MuteTargetsProperty(alarm_names=list(alarms)),
        )


def telling(scope: IConstruct) -> list[str]:
    """Return the names of the alarms in `scope` that notify somebody."""
    alarms = [
        one for one in scope.node.find_all() if isinstance(one, cloudwatch.CfnAlarm | cloudwatch.CfnCompositeAlarm)
    ]
    # Actions are added after an alarm is made, so resolve them here.
    return [one.ref for one in alarms if Stack.of(one).resolve(one.alarm_actions)]
