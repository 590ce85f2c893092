"""Tests the checks of `make confirm` that read CloudWatch: tokens, connections, schedules and an alarm."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from infra_cdk.confirm import watched
from infra_cdk.confirm.check import Deployment, Verdict
from tests.support.confirmed_stage import GREEN, RED, SKIPPED, Account, http
from tests.support.templates.assembly import Assembly

FAST = "global.anthropic.claude-haiku-5-5"


class TestTokenCount:
    def ledger(self, **row: Any) -> httpx.Client:
        post = {"kind": "post", "model_alias": "fast", "usage": {"output_tokens": 40}, **row}
        return http(lambda _: httpx.Response(200, json={"items": [post], "next_cursor": None}))

    def test_tokens_that_bedrock_counts_late_are_confirmed(self, deployment: Deployment, account: Account) -> None:
        for counted in (0.0, 41.0):
            account.points("OutputTokenCount", counted, ModelId=FAST)
        assert watched.counts_tokens(replace(deployment, http=self.ledger())).verdict is GREEN

    def test_tokens_that_bedrock_does_not_count_fail(self, deployment: Deployment, account: Account) -> None:
        tried = replace(deployment, http=self.ledger(), patience_s=0)
        for _ in range(2):
            account.points("OutputTokenCount", 39.0, ModelId=FAST)
        found = watched.counts_tokens(tried)
        assert (found.verdict, "39" in found.evidence) == (RED, True)

    @pytest.mark.parametrize("row", [{"kind": "adjustment"}, {"model_alias": "gone"}])
    def test_ledger_without_a_call_to_bedrock_fails(self, deployment: Deployment, row: dict[str, str]) -> None:
        assert watched.counts_tokens(replace(deployment, http=self.ledger(**row))).verdict is RED


class TestPinnedSessions:
    def proxy(self, account: Account, *kinds: str) -> None:
        every = [
            {
                "LogicalResourceId": kind,
                "PhysicalResourceId": "p1",
                "ResourceType": kind,
                "ResourceStatus": "CREATE_COMPLETE",
            }
            | {"LastUpdatedTimestamp": datetime.now(UTC)}
            for kind in kinds
        ]
        answer = {"StackResourceSummaries": every}
        account.answers("cloudformation", "list_stack_resources", answer, StackName="pantheon-staging")

    @pytest.mark.parametrize(("pinned", "verdict"), [((), GREEN), ((0.0, 0.0), GREEN), ((0.0, 3.0), RED)])
    def test_no_connection_is_pinned(
        self, deployment: Deployment, account: Account, pinned: tuple[float, ...], verdict: Verdict
    ) -> None:
        self.proxy(account, "AWS::SQS::Queue", "AWS::RDS::DBProxy")
        account.points("DatabaseConnections", 7.0, statistic="Maximum", ProxyName="p1")
        name = "DatabaseConnectionsCurrentlySessionPinned"
        account.points(name, *pinned, statistic="Maximum", ProxyName="p1")
        assert watched.shares_connections(deployment).verdict is verdict

    def test_proxy_without_metrics_fails(self, deployment: Deployment, account: Account) -> None:
        self.proxy(account, "AWS::RDS::DBProxy")
        account.points("DatabaseConnections", statistic="Maximum", ProxyName="p1")
        assert watched.shares_connections(deployment).verdict is RED

    def test_stage_without_a_proxy_is_not_tried(self, deployment: Deployment, account: Account) -> None:
        self.proxy(account, "AWS::SQS::Queue")
        assert watched.shares_connections(deployment).verdict is SKIPPED


class TestHeartbeat:
    @pytest.mark.parametrize(("runs", "errors", "verdict"), [(3.0, 1.0, GREEN), (0.0, 0.0, RED), (3.0, 3.0, RED)])
    def test_each_scheduled_function_runs(
        self, deployment: Deployment, account: Account, runs: float, errors: float, verdict: Verdict
    ) -> None:
        for name in ("sweeper", "reconciler", "jwks"):
            account.points(
                "Invocations", 3.0 if name != "reconciler" else runs, FunctionName=f"pantheon-staging-{name}"
            )
            account.points("Errors", 0.0 if name != "reconciler" else errors, FunctionName=f"pantheon-staging-{name}")
        found = watched.beats(deployment)
        assert (found.verdict, "reconciler" in found.evidence) == (verdict, verdict is RED)


class TestAlarm:
    NAME = "pantheon-staging-PlatformBudget"

    def states(self, account: Account, *states: str, actions: int = 1) -> None:
        alarm = {"AlarmName": self.NAME, "MetricName": "PlatformBudgetUsed", "Namespace": "Pantheon", "Threshold": 80.0}
        alarm["Dimensions"] = [{"Name": "service", "Value": "pantheon-staging"}]
        alarm["AlarmActions"] = ["arn:aws:sns:eu-central-1:123456789012:ticket"] * actions
        for number, state in enumerate(states):
            answer = {"MetricAlarms": [{**alarm, "StateValue": state}] if state else []}
            account.answers("cloudwatch", "describe_alarms", answer, AlarmNames=[self.NAME])
            if number == 0 and state == "OK":
                value = {"MetricName": "PlatformBudgetUsed", "Dimensions": alarm["Dimensions"], "Value": 81.0}
                account.answers("cloudwatch", "put_metric_data", {}, Namespace="Pantheon", MetricData=[value])

    @pytest.mark.parametrize(
        ("states", "actions", "verdict"),
        [
            (("OK", "OK", "ALARM", "ALARM", "OK"), 1, GREEN),
            (("OK", "ALARM", "OK"), 0, RED),
            (("OK", "OK", "OK", "OK"), 1, RED),
            (("OK", "ALARM", "ALARM", "ALARM", "ALARM"), 1, RED),
            (("ALARM",), 1, RED),
            (("",), 1, RED),
        ],
    )
    def test_alarm_rings_for_a_value_above_its_threshold_and_stops(
        self, deployment: Deployment, account: Account, states: tuple[str, ...], actions: int, verdict: Verdict
    ) -> None:
        self.states(account, *states, actions=actions)
        assert watched.rings(deployment).verdict is verdict

    def test_alarm_exists_in_every_stage_and_reads_one_series_of_pantheons(self, assembly: Assembly) -> None:
        for name in ("dev", "staging", "prod"):
            alarms = assembly.templates[name].resources("AWS::CloudWatch::Alarm").values()
            (alarm,) = [one for one in alarms if one.get("AlarmName") == f"pantheon-{name}-{watched.RUNG}"]
            assert (alarm["Namespace"], alarm["Statistic"]) == ("Pantheon", "Maximum")
            assert "Ticket" in json.dumps(alarm["AlarmActions"])
