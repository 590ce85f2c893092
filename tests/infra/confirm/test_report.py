"""Tests the report, the command and the page of `make confirm`."""

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from infra_cdk.confirm import bedrock, over_http
from infra_cdk.confirm.check import Deployment, Finding
from infra_cdk.confirm.report import CHECKS, confirm, written
from infra_cdk.stages import DEV, STAGING
from tests.support.confirmed_stage import GREEN, PROFILE, RED, SKIPPED, Account, http

ROOT = Path(__file__).parents[3]


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
    def test_command_prints_its_help_and_refuses_wrong_arguments(self, arguments: list[str], code: int) -> None:
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
