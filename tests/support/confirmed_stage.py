"""Answers the calls of `make confirm` in place of AWS and of a deployment."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import boto3
import httpx
from botocore.stub import ANY, Stubber

from infra_cdk.confirm.check import Verdict

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


def http(answer: Answer) -> httpx.Client:
    headers = {"Authorization": "Bearer id-token"}
    return httpx.Client(base_url="https://x/api/v1/", headers=headers, transport=httpx.MockTransport(answer))
