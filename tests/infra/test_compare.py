"""The comparison of two commits lists each changed resource of the templates."""

from pathlib import Path
from typing import Any

import pytest

from infra_cdk.assets import Assets
from infra_cdk.compare import changes, synthesise
from infra_cdk.stages_file import VARIABLE

BUCKET: dict[str, Any] = {"Type": "AWS::S3::Bucket", "Properties": {"Name": "one"}, "DeletionPolicy": "Retain"}
RULE: dict[str, Any] = {"Type": "AWS::Events::Rule", "Properties": {"State": "ENABLED"}}


def stack(**resources: Any) -> dict[str, Any]:
    return {"pantheon-dev": {"Resources": resources}}


def test_comparison_names_each_resource_that_is_new_gone_or_different() -> None:
    changed = {**BUCKET, "Properties": {"Name": "two"}, "DeletionPolicy": "Delete"}
    lines = list(changes(stack(Bucket=BUCKET, Old=RULE), stack(Bucket=changed, New=RULE)))
    assert lines == [
        "### pantheon-dev: 3 resources changed",
        "- **changed**: `Bucket` (AWS::S3::Bucket): DeletionPolicy, Name",
        "- new: `New` (AWS::Events::Rule)",
        "- gone: `Old` (AWS::Events::Rule)",
    ]


def test_comparison_marks_the_removal_of_a_resource_with_data() -> None:
    assert "- **gone**: `Bucket` (AWS::S3::Bucket)" in list(changes(stack(Bucket=BUCKET), stack()))


def test_comparison_of_equal_templates_has_its_own_line() -> None:
    assert list(changes(stack(Bucket=BUCKET), stack(Bucket=BUCKET))) == ["### pantheon-dev: no resources changed"]


def test_comparison_shows_a_new_stack() -> None:
    assert list(changes({}, stack(Rule=RULE)))[1:] == ["- new: `Rule` (AWS::Events::Rule)"]


def test_comparison_has_the_stages_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "stages.toml"
    file.write_text('[stages.lab]\nkind = "dev"\n')
    monkeypatch.setenv(VARIABLE, str(file))
    Assets.empty(tmp_path / "build")
    found = synthesise(Path(__file__).parents[2], tmp_path / "build", tmp_path / "out")
    assert {name for name in found if "account" not in name} == {
        *("pantheon-dev", "pantheon-staging", "pantheon-prod", "pantheon-lab")
    }
