"""`make destroy` leaves exactly the resources in docs/deploy.md, and the keys that they need."""

import re
from pathlib import Path

from infra_cdk.stages import STAGES, Stage
from tests.support.templates.assembly import Assembly
from tests.support.templates.template import Template, text

PAGE = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text()
PROTECTED, ACCOUNT = "protected stages", "the account"


def listed() -> set[tuple[str, str]]:
    """Return (type, owner) of each row of the page. Each row must have a price and a way to delete it."""
    (table,) = re.findall(r"<!-- left -->\n(.*?)<!-- /left -->", PAGE, re.DOTALL)
    rows = re.findall(r"^\| [^|]+ \(`([\w:]+)`\) \| ([^|]+) \| [^|]+ \| [^|]+ \|$", table, re.MULTILINE)
    assert len(rows) == len(table.splitlines()) - 2
    return set(rows)


def left(template: Template) -> set[str]:
    kinds = {one["Type"] for one in template.body["Resources"].values()}
    return {
        kind
        for kind in kinds
        for one in template.all(kind).values()
        if one.get("DeletionPolicy") in ("Retain", "Snapshot", "RetainExceptOnCreate")
    }


def test_page_lists_each_resource_that_a_deleted_stack_leaves(assembly: Assembly) -> None:
    found = {(kind, PROTECTED) for stage in STAGES.values() for kind in left(assembly.templates[stage.name])}
    assert found | {(kind, ACCOUNT) for kind in left(assembly.templates["account"])} == listed()


def test_stage_that_is_not_protected_leaves_nothing(template: Template, stage: Stage) -> None:
    assert bool(left(template)) is stage.protected


def test_snapshot_stays_only_with_the_key_that_reads_it(template: Template, stage: Stage) -> None:
    keys = {f"<{id_}.Arn>": one["DeletionPolicy"] for id_, one in template.all("AWS::KMS::Key").items()}
    (database,) = template.all("AWS::RDS::DBInstance").values()
    policies = (database["DeletionPolicy"], keys[text(database["Properties"]["KmsKeyId"])])
    assert policies == (("Snapshot", "Retain") if stage.protected else ("Delete", "Delete"))
    assert database["Properties"]["DeleteAutomatedBackups"] is not stage.protected


def test_key_of_a_log_that_stays_also_stays(template: Template) -> None:
    keys = {f"<{id_}.Arn>": one["DeletionPolicy"] for id_, one in template.all("AWS::KMS::Key").items()}
    for group in template.all("AWS::Logs::LogGroup").values():
        assert group["DeletionPolicy"] == keys[text(group["Properties"]["KmsKeyId"])]


def test_key_of_the_alarms_is_deleted_with_its_stage(template: Template) -> None:
    """CloudFormation deletes its topics, too, and it encrypts nothing else."""
    (key,) = [one for id_, one in template.all("AWS::KMS::Key").items() if id_.startswith("NotificationsKey")]
    assert (key["DeletionPolicy"], key["Properties"]["PendingWindowInDays"]) == ("Delete", 30)


def test_deleted_bucket_is_emptied_after_the_schedules_stop(template: Template, stage: Stage) -> None:
    emptying = template.all("Custom::S3AutoDeleteObjects")
    assert len(emptying) == (0 if stage.protected else 1)
    for id_ in emptying:
        rules = template.all("AWS::Events::Rule").values()
        assert rules
        assert all(id_ in rule["DependsOn"] for rule in rules)
