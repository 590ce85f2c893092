"""Make EventBridge's rules, which invoke scheduled functions."""

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from constructs import Construct

from infra_cdk.function import Function


class Schedules(Construct):
    """One rule for each function with a schedule. `rules` are by the function's name."""

    def __init__(self, scope: Construct, id: str, functions: list[Function]) -> None:
        super().__init__(scope, id)
        self.rules: dict[str, events.Rule] = {}
        for function in functions:
            if function.entry.schedule is None:
                continue
            # No retry: each run handles everything that is due.
            target = targets.LambdaFunction(function.alias, retry_attempts=0, max_event_age=Duration.minutes(1))
            schedule = events.Schedule.expression(function.entry.schedule)
            rule = events.Rule(self, function.entry.title, schedule=schedule, targets=[target])
            self.rules[function.entry.name] = rule
