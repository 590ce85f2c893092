"""Tests that each check of `make confirm` passes on a correct deployment and fails on a wrong one."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.stub import ANY, Stubber

from infra_cdk import stage_catalog
from infra_cdk.confirm import bedrock, over_http, watched
from infra_cdk.confirm.check import Deployment, Finding, Verdict
from infra_cdk.confirm.report import CHECKS, confirm, written
from infra_cdk.stages import DEV, STAGING
from tests.support.templates.assembly import Assembly

ROOT = Path(__file__).parents[2]
FAST = "global.anthropic.claude-haiku-5-5"
PROFILE = "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/abcdef"
Answer = Callable[[httpx.Request], httpx.Response]
GREEN, RED, SKIPPED = Verdict.CONFIRMED, Verdict.FAILED, Verdict.SKIPPED


@dataclass
class Account:
    """Clients whose answers are checked against AWS's own descriptions. An answer that is not asked for is a fault."""

    stubs: dict[str, Stubber] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        return self._stub(service).client

    def answers(self, service: str, operation: str, answer: Mapping[str, Any], **asked: Any) -> None:
        self._stub(service).add_response(operation, dict(answer), asked or None)

    def refuses(self, service: str, operation: str, code: str) -> None:
        self._stub(service).add_client_error(operation, code)

    def points(self, name: str, *values: float, statistic: str = "Sum", **here: str) -> None:
        points = [{"Timestamp": datetime.now(UTC), statistic: value} for value in values]
        dimensions = [{"Name": key, "Value": value} for key, value in here.items()] if here else ANY
        asked = {
            **dict.fromkeys(("Namespace", "StartTime", "EndTime", "Period"), ANY),
            "MetricName": name,
            "Dimensions": dimensions,
            "Statistics": [statistic],
        }
        self.answers("cloudwatch", "get_metric_statistics", {"Datapoints": points}, **asked)

    def assert_all_was_asked(self) -> None:
        for stub in self.stubs.values():
            stub.assert_no_pending_responses()

    def _stub(self, service: str) -> Stubber:
        if service not in self.stubs:
            client = boto3.client(service, region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
            self.stubs[service] = Stubber(client)
            self.stubs[service].activate()
        return self.stubs[service]


@pytest.fixture
def account() -> Iterator[Account]:
    made = Account()
    yield made
    made.assert_all_was_asked()


@pytest.fixture
def deployment(account: Account) -> Deployment:
    """A stage with a proxy. Each look at the clock takes ten minutes, and a wait half an hour at most."""
    ticks = iter(range(0, 10**9, 600))
    return Deployment(
        STAGING,
        stage_catalog.read(STAGING),
        http(lambda _: httpx.Response(404)),
        account.client,
        patience_s=1800,
        pause=lambda _: None,
        clock=lambda: float(next(ticks)),
    )


def http(answer: Answer) -> httpx.Client:
    headers = {"Authorization": "Bearer id-token"}
    return httpx.Client(base_url="https://x/api/v1/", headers=headers, transport=httpx.MockTransport(answer))


class TestHealth:
    @pytest.mark.parametrize(
        ("status", "stage", "commit", "verdict"),
        [
            (200, "staging", "c0ffee", GREEN),
            (200, "staging", "0ther", RED),
            (200, "dev", "c0ffee", RED),
            (503, "staging", "c0ffee", RED),
        ],
    )
    def test_health_is_that_of_the_stage_and_the_commit(
        self, deployment: Deployment, status: int, stage: str, commit: str, verdict: Verdict
    ) -> None:
        body = {"status": "ok", "version": "0.2.0", "commit": commit, "stage": stage, "checks": {}}
        asked = replace(deployment, http=http(lambda _: httpx.Response(status, json=body)), commit="c0ffee")
        found = over_http.serves_the_commit(asked)
        assert (found.verdict, "c0ffee" in found.evidence) == (verdict, True)


class TestTokenUse:
    @pytest.mark.parametrize(
        ("access", "refused", "verdict"),
        [("access-token", 401, GREEN), ("access-token", 200, RED), (None, 401, SKIPPED)],
    )
    def test_access_token_is_refused(
        self, deployment: Deployment, access: str | None, refused: int, verdict: Verdict
    ) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            return httpx.Response(refused if request.headers["Authorization"] == "Bearer access-token" else 200)

        asked = replace(deployment, http=http(answer), access_token=access)
        assert over_http.refuses_access_tokens(asked).verdict is verdict

    def test_token_that_is_no_good_confirms_nothing(self, deployment: Deployment) -> None:
        asked = replace(deployment, http=http(lambda _: httpx.Response(401)), access_token="access-token")
        assert over_http.refuses_access_tokens(asked).verdict is RED


class Pieces(httpx.SyncByteStream):
    def __init__(self, *pieces: bytes, pause_s: float) -> None:
        self._pieces, self._pause_s = pieces, pause_s

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            yield piece
            time.sleep(self._pause_s)


class TestStreaming:
    DELTA, END = b'event: reply.delta\ndata: {"text": "one"}\n\n', b"event: turn.completed\ndata: {}\n\n"

    def streaming(
        self, deployment: Deployment, *pieces: bytes, pause_s: float, status: int = 200
    ) -> tuple[Finding, list[str]]:
        asked: list[str] = []

        def answer(request: httpx.Request) -> httpx.Response:
            asked.append(f"{request.method} {request.url.path.removeprefix('/api/v1/').partition('/')[0]}")
            if request.url.path.endswith("/turns"):
                return httpx.Response(status, stream=Pieces(*pieces, pause_s=pause_s))
            return httpx.Response(201, json={"id": "s1"})

        tried = replace(deployment, http=http(answer), clock=time.monotonic)
        return over_http.streams(tried), asked

    def test_piece_before_the_end_is_confirmed_and_agent_and_session_go(self, deployment: Deployment) -> None:
        found, asked = self.streaming(deployment, self.DELTA, self.DELTA, self.END, pause_s=0.15)
        assert found.verdict is GREEN
        assert asked == ["POST agents", "POST sessions", "POST sessions", "DELETE sessions", "DELETE agents"]

    @pytest.mark.parametrize(("pieces", "status"), [((DELTA + END,), 200), ((END,), 200), ((), 504)])
    def test_answer_that_comes_at_once_or_not_at_all_fails(
        self, deployment: Deployment, pieces: tuple[bytes, ...], status: int
    ) -> None:
        found, asked = self.streaming(deployment, *pieces, pause_s=0.0, status=status)
        assert found.verdict is RED
        assert asked[-1] == "DELETE agents"


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


class TestLogDelivery:
    FOLDER = "bedrock/AWSLogs/123456789012/BedrockModelInvocationLogs/eu-central-1/"

    def config(self, account: Account, **changed: Any) -> None:
        config = {
            "s3Config": {"bucketName": "logs", "keyPrefix": "bedrock"},
            "textDataDeliveryEnabled": False,
            **changed,
        }
        config = {name: value for name, value in config.items() if value is not None}
        account.answers("bedrock", "get_model_invocation_logging_configuration", {"loggingConfig": config})

    def lists(self, account: Account, *keys: str) -> None:
        contents = {"Contents": [{"Key": f"{self.FOLDER}{key}"} for key in keys]} if keys else {}
        account.answers("s3", "list_objects_v2", contents, Bucket="logs", Prefix=ANY, Delimiter="/")

    def identity(self, account: Account) -> None:
        account.answers("sts", "get_caller_identity", {"Account": "123456789012"})

    def test_record_of_this_hour_is_waited_for(self, deployment: Deployment, account: Account) -> None:
        self.config(account)
        self.identity(account)
        for keys in ((), (), (), ("a.json.gz",)):
            self.lists(account, *keys)
        assert bedrock.delivers_its_log(deployment).verdict is GREEN

    def test_folder_without_a_record_fails(self, deployment: Deployment, account: Account) -> None:
        self.config(account)
        self.identity(account)
        for _ in range(2):
            self.lists(account, "amazon-bedrock-logs-permission-check")
        assert bedrock.delivers_its_log(replace(deployment, patience_s=0)).verdict is RED

    @pytest.mark.parametrize(
        "changed",
        [
            {"s3Config": None},
            {"textDataDeliveryEnabled": True},
            {"s3Config": {"bucketName": "logs", "keyPrefix": "other"}},
        ],
    )
    def test_setting_that_the_reconciler_cannot_use_fails(
        self, deployment: Deployment, account: Account, changed: dict[str, Any]
    ) -> None:
        self.config(account, **changed)
        assert bedrock.delivers_its_log(deployment).verdict is RED


class TestInferenceProfileTags:
    def profiled(self, deployment: Deployment) -> Deployment:
        (model, *_) = deployment.catalog.models.values()
        return replace(deployment, catalog=replace(deployment.catalog, models={PROFILE: model}))

    @pytest.mark.parametrize(("stage", "verdict"), [("staging", GREEN), ("dev", RED)])
    def test_profile_has_the_tags_of_its_stage(
        self, deployment: Deployment, account: Account, stage: str, verdict: Verdict
    ) -> None:
        tags = [{"key": "project", "value": "pantheon"}, {"key": "stage", "value": stage}]
        account.answers("bedrock", "list_tags_for_resource", {"tags": tags}, resourceARN=PROFILE)
        assert bedrock.tags_its_profiles(self.profiled(deployment)).verdict is verdict

    def test_catalog_without_a_profile_is_not_tried(self, deployment: Deployment) -> None:
        assert bedrock.tags_its_profiles(deployment).verdict is SKIPPED


class TestReport:
    def test_error_of_aws_is_a_finding_and_the_next_check_runs(self, deployment: Deployment, account: Account) -> None:
        account.refuses("bedrock", "get_model_invocation_logging_configuration", "AccessDeniedException")
        named = {check.name: check for check in CHECKS}
        found = confirm(deployment, [named["log delivery"], named["inference profile tags"]])
        assert [finding.verdict for _, finding in found] == [RED, SKIPPED]
        report = written("staging", datetime(2026, 12, 1, 9, 30, tzinfo=UTC), found)
        assert "2026-12-01 09:30 UTC. 1 of 2 checks failed." in report
        assert "AccessDeniedException" in report
        assert report.count("- **") == 1
        assert f"- **log delivery**: {named['log delivery'].otherwise}" in report

    def test_report_without_a_failure_has_nothing_to_do(self) -> None:
        found = [(check, Finding(GREEN, "seen")) for check in CHECKS]
        report = written("dev", datetime.now(UTC), found)
        assert "No check failed." in report
        assert "What to do" not in report

    def test_each_check_is_explained_and_named_once(self) -> None:
        assert len({check.name for check in CHECKS}) == len(CHECKS)
        assert all(check.means.endswith(".") and check.otherwise.endswith(".") for check in CHECKS)

    @pytest.mark.parametrize(
        ("arguments", "code"), [(["--help"], 0), (["dev"], 2), (["nowhere", "--url", "https://x", "--token", "x"], 2)]
    )
    def test_command_explains_itself_and_refuses_what_it_cannot_do(self, arguments: list[str], code: int) -> None:
        command = [sys.executable, "-m", "infra_cdk.confirm", *arguments]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert ran.returncode == code
        assert code or all(check.name in ran.stdout for check in CHECKS)
        assert "nowhere" not in arguments or "There is no stage 'nowhere'; there are dev" in ran.stderr

    def test_copy_of_a_stage_is_confirmed_by_its_own_names(self, deployment: Deployment, account: Account) -> None:
        copy = replace(deployment, stage=replace(STAGING, copy_name="second"))
        assert copy.name == "pantheon-second-staging"
        body = {"status": "ok", "stage": "second-staging"}
        asked = replace(copy, http=http(lambda _: httpx.Response(200, json=body)))
        assert over_http.serves_the_commit(asked).verdict is GREEN
        (model, *_) = copy.catalog.models.values()
        tags = [{"key": "project", "value": "pantheon"}, {"key": "stage", "value": "second-staging"}]
        account.answers("bedrock", "list_tags_for_resource", {"tags": tags}, resourceARN=PROFILE)
        profiled = replace(copy, catalog=replace(copy.catalog, models={PROFILE: model}))
        assert bedrock.tags_its_profiles(profiled).verdict is GREEN


def test_page_lists_every_check() -> None:
    page = (ROOT / "docs/deploy.md").read_text()
    assert [check.name for check in CHECKS if f"`{check.name}`" not in page] == []


def test_dev_has_no_proxy_and_the_others_have() -> None:
    assert (DEV.proxy, STAGING.proxy) == (False, True)
