"""Tests the smoke suite for deployments against the local stack."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.stack import Stack
from tests.support.stack.tenant import Tenant

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("token", ["good", "bad", "of another tenant"])
def test_the_smoke_suite_passes_here_and_fails_without_a_good_token(stack: Stack, tenant: Tenant, token: str) -> None:
    tokens = {
        "good": stack.token(tenant=tenant.id),
        "bad": "nonsense",
        "of another tenant": stack.token(tenant="other"),
    }
    environment = {
        **os.environ,
        "PANTHEON_SMOKE_URL": stack.url,
        "PANTHEON_SMOKE_TOKEN": tokens[token],
        "PANTHEON_SMOKE_TENANT": tenant.id,
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/smoke/deployed.py"]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == (0 if token == "good" else 1), ran.stdout[-3000:]
