"""A finding of cdk-nag without a reason stops the synthesis, and each reason has a finding."""

import json
import re
from dataclasses import replace
from pathlib import Path

import cdk_nag
import pytest
from aws_cdk import Validations

from infra_cdk import app, nag
from infra_cdk.assets import Assets
from infra_cdk.nag import Reason
from infra_cdk.stages import DEV, PROD, STAGES, STAGING
from tests.support.templates import catalogs
from tests.support.templates.catalogs import with_catalog

MODEL = "amazon.nova-2-lite-v1:0"
BOTH = catalogs.BOTH.replace(catalogs.PROFILE, f"eu.{MODEL}")


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str]]:
    """Return rule and path of all findings without any reasons."""
    folder = tmp_path_factory.mktemp("nag")
    # The other two have the additions of a catalog: geographic profiles, secrets, and each kind of egress.
    told = replace(with_catalog(BOTH, folder, "ipv6", DEV), page_email="ada@example.org")
    stages = [told, with_catalog(BOTH, folder, "nat", STAGING), PROD]
    made = app.build(folder / "out", stages, Assets.empty(folder / "build"))
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
    expected = reason.rule.partition("::")[2].replace("<region>", region).replace("<model>", MODEL)
    return rule == expected and re.fullmatch(reason.path, path) is not None


@pytest.mark.parametrize("reason", nag.REASONS, ids=lambda reason: f"{reason.rule} {reason.path}")
def test_every_reason_has_a_finding(findings: set[tuple[str, str]], reason: Reason) -> None:
    assert any(_names(reason, finding) for finding in findings)
    assert len(reason.why) > 20


def test_finding_has_exactly_one_reason(findings: set[tuple[str, str]]) -> None:
    given = {finding: [r for r in nag.REASONS if _names(r, finding)] for finding in findings}
    assert {finding: len(reasons) for finding, reasons in given.items() if len(reasons) != 1} == {}


def test_a_stage_with_a_catalog_of_its_own_passes(tmp_path: Path) -> None:
    stages = [with_catalog(BOTH, tmp_path, "ipv6", DEV), with_catalog(BOTH, tmp_path, "nat", STAGING)]
    made = app.build(tmp_path / "out", stages, Assets.empty(tmp_path / "build"))
    nag.check(made)
    made.synth()
