"""Tests the HTTP checks of `make confirm`, and its command, against the local stack."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from infra_cdk import stage_catalog
from infra_cdk.confirm import over_http
from infra_cdk.confirm.check import Deployment, Verdict
from infra_cdk.stages import DEV
from local.stack import Stack
from shared.commit import checked_out
from tests.support.fake_provider import FakeProvider, moods
from tests.support.stack.tenant import Tenant

ROOT = Path(__file__).parents[2]


@pytest.fixture
def deployment(stack: Stack, tenant: Tenant) -> Iterator[Deployment]:
    with httpx.Client(base_url=tenant.http.base_url, headers=tenant.http.headers, timeout=60.0) as http:
        yield Deployment(replace(DEV, name="local"), stage_catalog.read(DEV), http, lambda _: None)


@pytest.mark.parametrize(("commit", "verdict"), [(None, Verdict.CONFIRMED), ("c0ffee", Verdict.FAILED)])
def test_health_has_the_commit_of_this_checkout(deployment: Deployment, commit: str | None, verdict: Verdict) -> None:
    asked = replace(deployment, commit=commit or checked_out(ROOT))
    assert over_http.serves_the_commit(asked).verdict is verdict


def test_access_token_check_fails_where_both_tokens_get_in(deployment: Deployment, tenant: Tenant) -> None:
    token = str(tenant.http.headers["Authorization"]).removeprefix("Bearer ")
    assert over_http.refuses_access_tokens(replace(deployment, access_token=token)).verdict is Verdict.FAILED
    refused = replace(deployment, access_token="nonsense")
    assert over_http.refuses_access_tokens(refused).verdict is Verdict.CONFIRMED


def test_piece_of_an_answer_comes_before_its_end(
    deployment: Deployment, tenant: Tenant, provider: FakeProvider
) -> None:
    provider.add(moods.paced("one two three four five", 0.1))
    assert over_http.streams(deployment).verdict is Verdict.CONFIRMED
    assert tenant.http.get("agents").json()["items"] == []


@pytest.mark.parametrize(("only", "code"), [("inference profile tags", 0), ("health", 1)])
def test_command_writes_a_report_and_ends_with_1_if_a_check_failed(
    stack: Stack, tmp_path: Path, only: str, code: int
) -> None:
    """The local stack is no stage of AWS, so its health differs from that of dev."""
    command = [sys.executable, "-m", "infra_cdk.confirm", "dev", "--url", stack.url, "--token", "x"]
    ran = subprocess.run(
        [*command, "--only", only, "--out", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == code, ran.stderr
    report = (tmp_path / "confirm-dev.md").read_text()
    assert f"| {only} |" in report
    assert ("## What to do" in report) is bool(code)
