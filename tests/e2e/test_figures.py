"""Tests `pantheon cost` and `pantheon status` at the command line, with and without a running stack."""

import subprocess
import sys
from pathlib import Path

import pytest

from local.stack import Stack
from tests.support.stack.tenant import Tenant, environ

PANTHEON = [sys.executable, "-c", "import sys; from local.cli import main; sys.exit(main())"]
TIMEOUT_S = 60.0


def run(command: str, data_dir: Path) -> subprocess.CompletedProcess[str]:
    given = environ(data_dir)
    return subprocess.run(
        [*PANTHEON, command], env=given, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


def test_cost_and_status_read_the_database_of_a_running_stack(stack: Stack, tenant: Tenant, session_id: str) -> None:
    tenant.take(session_id, "@writer hello")
    for command, line in (("cost", "By account, USD"), ("status", "invariants broken")):
        ended = run(command, stack.log_dir.parent)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert line in ended.stdout


@pytest.mark.parametrize("command", ["cost", "status"])
def test_cost_and_status_print_one_line_without_a_database(command: str, tmp_path: Path) -> None:
    ended = run(command, tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stderr.startswith("pantheon: There is no database in ")
