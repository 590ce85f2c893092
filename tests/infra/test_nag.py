"""cdk-nag's findings: a finding without a reason stops the synthesis, and a reason without a finding is none."""

import json
import re
from pathlib import Path

import cdk_nag
import pytest
from aws_cdk import Validations

from infra_cdk import app, nag
from infra_cdk.assets import Assets
from infra_cdk.nag import Reason
from infra_cdk.stages import STAGES


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str]]:
    """Rule and construct's path of all that is found where no reason is given."""
    folder = tmp_path_factory.mktemp("nag")
    made = app.build(folder / "out", STAGES.values(), Assets.empty(folder / "build"))
    Validations.of(made).add_plugins(cdk_nag.AwsSolutionsChecks(made), cdk_nag.ServerlessChecks(made))
    with pytest.raises(RuntimeError):
        made.synth()
    return _read(folder / "out" / "validation-report.json")


def _read(report: Path) -> set[tuple[str, str]]:
    violations = [one for plugin in json.loads(report.read_text())["pluginReports"] for one in plugin["violations"]]
    return {(one["ruleName"], each["constructPath"]) for one in violations for each in one["violatingConstructs"]}


def _names(reason: Reason, finding: tuple[str, str]) -> bool:
    rule, path = finding
    region = next(iter(STAGES.values())).region
    expected = reason.rule.partition("::")[2].replace("<region>", region)
    return rule == expected and re.fullmatch(reason.path, path) is not None


@pytest.mark.parametrize("reason", nag.REASONS, ids=lambda reason: f"{reason.rule} {reason.path}")
def test_every_reason_is_one_for_something_that_is_found(findings: set[tuple[str, str]], reason: Reason) -> None:
    assert any(_names(reason, finding) for finding in findings)
    assert len(reason.why) > 20


def test_every_finding_has_one_reason(findings: set[tuple[str, str]]) -> None:
    given = {finding: [r for r in nag.REASONS if _names(r, finding)] for finding in findings}
    assert {finding: len(reasons) for finding, reasons in given.items() if len(reasons) != 1} == {}
