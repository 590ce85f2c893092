"""The stage's key encrypts all text of tenants, and no change of the key loses the database."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra_cdk.stages import PROD, Stage
from tests.support.templates.assembly import synthesised
from tests.support.templates.template import Properties, Template, listed, text


def the_key(template: Template) -> tuple[str, Properties]:
    (found,) = [(id_, one) for id_, one in template.all("AWS::KMS::Key").items() if id_.startswith("TextKey")]
    return found


def database(template: Template) -> dict[str, Any]:
    return template.one("AWS::RDS::DBInstance")


class TestKey:
    def test_key_rotates_and_outlives_a_protected_stage(self, template: Template, stage: Stage) -> None:
        """A snapshot needs the key."""
        _, key = the_key(template)
        assert key["Properties"]["EnableKeyRotation"] is True
        assert key["Properties"]["PendingWindowInDays"] == 30
        kept = "Retain" if stage.protected else "Delete"
        assert (key["DeletionPolicy"], key["UpdateReplacePolicy"]) == (kept, kept)

    def test_the_database_its_statements_and_every_log_are_encrypted_with_it(self, template: Template) -> None:
        arn = f"<{the_key(template)[0]}.Arn>"
        found = database(template)
        assert found["StorageEncrypted"] is True
        assert {text(found["KmsKeyId"]), text(found["PerformanceInsightsKMSKeyId"])} == {arn}
        groups = template.resources("AWS::Logs::LogGroup").values()
        assert {text(group.get("KmsKeyId", "")) for group in groups} == {arn}

    def test_policy_of_the_key_names_only_the_account_and_the_logs_of_its_stage(
        self, template: Template, stage: Stage
    ) -> None:
        account, logs = the_key(template)[1]["Properties"]["KeyPolicy"]["Statement"]
        assert text(account["Principal"]["AWS"]) == "arn:<AWS::Partition>:iam::<AWS::AccountId>:root"
        assert text(logs["Principal"]["Service"]) == f"logs.{stage.region}.amazonaws.com"
        assert not [action for action in logs["Action"] if action in ("kms:*", "kms:CreateGrant", "kms:PutKeyPolicy")]
        arns = [text(arn) for arn in logs["Condition"]["ArnLike"]["kms:EncryptionContext:aws:logs:arn"]]
        name = f"pantheon-{stage.name}"
        begins = {arn.partition(":log-group:")[2] for arn in arns}
        assert begins == {f"/aws/lambda/{name}-*", f"/aws/rds/instance/{name}*", f"/aws/rds/proxy/{name}*", f"{name}-*"}
        assert all(f":{stage.region}:<AWS::AccountId>:log-group:" in arn for arn in arns)

    def test_policy_of_the_key_names_each_log_group(self, template: Template) -> None:
        logs = the_key(template)[1]["Properties"]["KeyPolicy"]["Statement"][1]
        arns = [text(arn) for arn in logs["Condition"]["ArnLike"]["kms:EncryptionContext:aws:logs:arn"]]
        begins = tuple(arn.partition(":log-group:")[2].rstrip("*") for arn in arns)
        names = [
            one["LogGroupName"] for one in template.resources("AWS::Logs::LogGroup").values() if "LogGroupName" in one
        ]
        assert names
        assert all(name.startswith(begins) for name in names)

    def test_roles_have_no_right_on_a_key(self, template: Template) -> None:
        granted = [action for one in template.statements() for action in one.actions]
        granted += [
            action
            for role in template.resources("AWS::IAM::Role").values()
            for policy in role.get("Policies", [])
            for one in policy["PolicyDocument"]["Statement"]
            for action in listed(one["Action"])
        ]
        assert not [action for action in granted if action.startswith("kms:")]


class TestDatabaseIsNotLost:
    def test_change_that_replaces_the_database_is_refused_or_leaves_a_snapshot(
        self, template: Template, stage: Stage
    ) -> None:
        """CloudFormation cannot replace a resource with a fixed name."""
        (whole,) = template.all("AWS::RDS::DBInstance").values()
        assert whole["Properties"]["DBInstanceIdentifier"] == f"pantheon-{stage.name}"
        assert whole["UpdateReplacePolicy"] == "Snapshot"

    def test_a_stage_that_was_deployed_without_a_key_keeps_its_database(self, tmp_path: Path) -> None:
        template = synthesised(replace(PROD, customer_key=False), tmp_path)
        found = database(template)
        assert found["StorageEncrypted"] is True
        assert not {"KmsKeyId", "PerformanceInsightsKMSKeyId"} & set(found)
        assert not [id_ for id_ in template.resources("AWS::KMS::Key") if id_.startswith("TextKey")]
        assert all("KmsKeyId" not in group for group in template.resources("AWS::Logs::LogGroup").values())

    def test_a_database_is_restored_under_its_snapshots_name(self, tmp_path: Path) -> None:
        template = synthesised(replace(PROD, database_snapshot="pantheon-prod-2"), tmp_path)
        found = database(template)
        assert found["DBInstanceIdentifier"] == found["DBSnapshotIdentifier"] == "pantheon-prod-2"
        # RDS takes these from the snapshot, and CloudFormation accepts none of them beside it.
        assert not {"DBName", "MasterUsername", "KmsKeyId"} & set(found)
        assert (found["StorageEncrypted"], found["ManageMasterUserPassword"]) == (True, True)
        names = {group.get("LogGroupName") for group in template.resources("AWS::Logs::LogGroup").values()}
        assert "/aws/rds/instance/pantheon-prod-2/postgresql" in names

    @pytest.mark.parametrize(
        "name", ["", "pantheon-prod", "pantheon-staging-2", "arn:aws:rds:x", "pantheon-prod-" + "x" * 60]
    )
    def test_a_snapshot_of_another_name_is_refused(self, name: str) -> None:
        with pytest.raises(ValueError, match="names no snapshot"):
            replace(PROD, database_snapshot=name)
