"""Tests the checks of `make confirm` that read Bedrock's settings: its log and the tags of its profiles."""

from dataclasses import replace
from typing import Any

import pytest
from botocore.stub import ANY

from infra_cdk.confirm import bedrock
from infra_cdk.confirm.check import Deployment, Verdict
from tests.support.confirmed_stage import GREEN, PROFILE, RED, SKIPPED, Account


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
