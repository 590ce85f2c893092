"""Tests `pantheon logs`: the lines of a stack, the errors, and all lines of one turn."""

import os
import re
import subprocess
from collections.abc import Callable

import pytest

from local.stack import Stack
from tests.e2e.test_cli import PANTHEON, read_until
from tests.support.fake_provider import Mood
from tests.support.stack.tenant import Tenant

TIMEOUT_S = 60.0


@pytest.fixture
def environ(stack: Stack) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PANTHEON_")}
    return kept | {"PANTHEON_DATA_DIR": str(stack.data_dir)}


@pytest.fixture
def logs(environ: dict[str, str]) -> Callable[..., str]:
    def logs(*options: str, code: int = 0) -> str:
        command = [*PANTHEON, "logs", *options]
        ran = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        assert ran.returncode == code, ran.stderr
        return ran.stdout + ran.stderr

    return logs


def test_turn_is_shown_with_its_calls_and_its_errors_by_the_end_of_its_id(
    logs: Callable[..., str], tenant: Tenant, session_id: str
) -> None:
    tenant.provider.add(Mood(status=400), when="You are Researcher,")
    turn = tenant.take(session_id, "@writer @researcher hello")
    text = logs("--turn", turn["id"][-12:])
    assert text.startswith(f"Turn {turn['id']}\n")
    assert re.search(rf"Talk +writer, researcher  \d+\.\d s  {turn['cost_usd']} USD  {turn['id'][-12:]}", text)
    assert re.search(r"^call \S+  agent writer  fast  succeeded  \d", text, re.MULTILINE)
    assert re.search(r"^call \S+  agent researcher  fast  unbilled  refused  \d", text, re.MULTILINE)
    assert "a call of 'fast' failed: The provider refused the request" in text
    assert "hello" not in text
    errors = logs("--errors", "-n", "3")
    assert errors.count("\n") <= 3
    assert not re.search(r"^\S+ \S+  (turn|info)", errors, re.MULTILINE)


def test_unknown_and_ambiguous_turns_are_one_line(logs: Callable[..., str], tenant: Tenant, session_id: str) -> None:
    tenant.take(session_id, "@writer hello")
    assert logs("--turn", "000000000000", code=1) == "pantheon: There is no turn 000000000000.\n"
    assert logs("--turn", "x'; --", code=1).startswith("pantheon: 'x'; --' is not the id of a turn")


def test_new_lines_are_followed(environ: dict[str, str], tenant: Tenant, session_id: str) -> None:
    command = [*PANTHEON, "logs", "--follow", "-n", "1"]
    with subprocess.Popen(command, env=environ, text=True, stdout=subprocess.PIPE) as following:
        try:
            read_until(following, "")
            turn = tenant.take(session_id, "@writer hello")
            assert f"turn {turn['id']} ended: " in read_until(following, r".*  turn +turns .*")
        finally:
            following.terminate()


def test_folder_without_logs_says_what_to_do(logs: Callable[..., str], environ: dict[str, str]) -> None:
    environ["PANTHEON_DATA_DIR"] = "/nonexistent"
    assert logs(code=1) == "pantheon: There are no logs in /nonexistent/log: start `pantheon run`.\n"
