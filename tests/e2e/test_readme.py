"""Tests that the README fits on one screen and that its first steps work. test_page_commands.py runs its commands."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from local.run import greet
from local.stack import Stack
from shared.names import Env, LocalEnv
from tests.e2e.test_chat import Terminal
from tests.support.fake_provider import FakeProvider
from tests.support.page_commands import ADDRESS, ROOT, documents, lay_out, read_blocks, run_blocks, shell_environment
from tests.support.stack.tenant import Tenant

PAGE = "README.md"
TOKEN = "eyJ…"
LONGEST = 450


def test_readme_fits_on_one_screen() -> None:
    assert len((ROOT / PAGE).read_text().split()) <= LONGEST


def test_first_turn_again_prints_the_same_and_calls_no_model(
    stack: Stack, tenant: Tenant, provider: FakeProvider, tmp_path: Path
) -> None:
    tenant.make_agents("writer")
    (first,) = [block for block in read_blocks(PAGE) if block.runs and block.section == "First turn"]
    again = type(first)(first.section, "sh", first.text[first.text.rindex("\ncurl ") :])
    before = len(provider.rows)
    one, two = run_blocks([first, again], stack, stack.token(tenant=tenant.id), tmp_path)
    assert one.printed == two.printed
    assert documents(one.printed)[0]["output"] == "You said: hello"
    assert len(provider.rows) - before == 1


def test_chat_of_the_readme_talks_to_a_council_in_a_terminal(stack: Stack, tenant: Tenant, tmp_path: Path) -> None:
    tenant.make_agents("writer")
    (chat,) = [block.text for block in read_blocks(PAGE) if block.section == "Run it" and block.runs]
    environ = shell_environment(stack) | {"PANTHEON_TOKEN": stack.token(tenant=tenant.id)}
    lay_out(tmp_path)
    terminal = Terminal(environ, "bash", "-c", f"cd '{tmp_path}' && {chat}")
    try:
        terminal.wait_for("writer> ")
        terminal.type("hello\r")
        assert "You said: hello" in terminal.wait_for("USD.*writer> ")
    finally:
        terminal.close()


def test_pantheon_run_prints_the_lines_of_the_readme(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    greet(stack)
    printed = re.sub(r"=eyJ\S+", f"={TOKEN}", capsys.readouterr().out.replace(stack.url, ADDRESS))
    (shown,) = [block.text for block in read_blocks(PAGE) if block.tag == "text"]
    assert shown in printed


def test_help_of_run_lists_every_local_variable_and_no_unknown_one() -> None:
    program = [sys.executable, "-c", "from local.cli import main; main()", "run", "--help"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PANTHEON_")}
    printed = subprocess.run(program, env=environ, capture_output=True, text=True, check=True).stdout
    listed = set(re.findall(r"^  (PANTHEON_\w+)", printed, re.MULTILINE))
    assert set(LocalEnv) <= listed <= {*Env, *LocalEnv}
