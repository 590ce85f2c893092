"""The README is true to the letter: its commands are run as they stand, and its table is what can be set."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local import token_file
from local.run import greet
from local.stack import Stack
from shared.names import Env, LocalEnv
from shared.settings import Settings
from tests.e2e.test_chat import Terminal
from tests.support.fake_provider import FakeProvider

README = (Path(__file__).parents[2] / "README.md").read_text()
TOKEN, ADDRESS = "eyJ…", "http://127.0.0.1:8000"
SHOW = "$(.venv/bin/pantheon token --show)"
TIMEOUT_S = 60.0
SEPARATOR = "---again---"


def section(title: str) -> str:
    """What stands under a heading, up to the next one."""
    found = re.search(rf"^## {title}$(.*?)^## ", README, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def blocks(text: str, language: str = "") -> list[str]:
    """The fenced blocks of this language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def in_bash(script: str) -> str:
    """What the lines print when they are pasted into a shell that stops at the first failure."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PANTHEON_")}
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=clean,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    return ran.stdout


def in_venv(command: str, stack: Stack) -> str:
    """The shell command that stands for `.venv/bin/pantheon`, for a stack in a folder of its own."""
    main = "import sys; from local.cli import main; sys.exit(main())"
    return f"PANTHEON_DATA_DIR={shlex.quote(str(stack.data_dir))} {sys.executable} -c {shlex.quote(main)} {command}"


def shape(shown: Any, real: Any) -> bool:
    """Whether what the README shows of a document is in the real one; an ellipsis stands for anything."""
    match shown:
        case dict():
            return all(name == "…" or (name in real and shape(value, real[name])) for name, value in shown.items())
        case list():
            return len(shown) == len(real) and all(map(shape, shown, real))
        case str() if "…" in shown:
            return re.fullmatch(".+".join(map(re.escape, shown.split("…"))), real, re.DOTALL) is not None
        case str() if re.fullmatch(r"0\.\d+", shown):
            return re.fullmatch(r"0\.\d+", real) is not None
    return bool(shown == real)


class TestFirstTurn:
    @pytest.fixture(autouse=True)
    def _token(self, stack: Stack) -> None:
        """`make run` has written it."""
        token_file.write(stack.data_dir, stack.token())

    @pytest.fixture
    def commands(self, stack: Stack) -> str:
        """The shell lines, with the address and the token of a stack that runs."""
        (commands,) = blocks(section("A first turn"))
        assert (commands.count(SHOW), commands.count(ADDRESS)) == (1, 1)
        return str(commands).replace(SHOW, f"$({in_venv('token --show', stack)})").replace(ADDRESS, stack.url)

    def test_its_commands_work_as_they_stand_and_the_last_one_again_answers_the_same_and_asks_nobody(
        self, commands: str, provider: FakeProvider
    ) -> None:
        before = len(provider.rows)
        last = commands[commands.rindex("\ncurl ") :]
        printed, again = in_bash(f"{commands}echo {SEPARATOR}{last}").split(SEPARATOR + "\n")
        agents, end = json.JSONDecoder().raw_decode(printed)
        assert {"writer", "researcher"} <= {agent["key"] for agent in agents["items"]}
        assert printed[end:] == again
        assert len(provider.rows) - before == 2
        (shown,) = blocks(section("A first turn"), "json")
        assert shape(json.loads(shown), json.loads(again))

    def test_the_command_that_watches_a_turn_prints_its_events(self, commands: str) -> None:
        (watch,) = blocks(section("Watch a turn"))
        printed = in_bash(commands + watch)
        (shown,) = blocks(section("Watch a turn"), "text")
        assert shown.split("\n\n")[0] in printed
        assert "\nevent: turn.ended\n" in printed

    def test_command_of_a_chat_client_prints_a_completion(self, stack: Stack, commands: str) -> None:
        (ask,) = blocks(section("Connect a chat client"))
        printed = in_bash(commands + "echo " + SEPARATOR + "\n" + ask.replace(ADDRESS, stack.url))
        completion = json.loads(printed.split(SEPARATOR)[1])
        assert completion["choices"][0]["message"]["content"] == "You said: hello"

    def test_a_turn_is_handed_over_after_the_time_that_it_says(self) -> None:
        seconds = Settings.model_fields["turn_seconds"].default
        assert f"longer than {seconds:.0f} seconds" in section("A first turn")


def test_chat_of_the_readme_talks_to_a_council_in_a_terminal(stack: Stack, provider: FakeProvider) -> None:
    assert ".venv/bin/pantheon chat\n" in blocks(section("Run it"))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PANTHEON_")}
    environ = kept | {"PANTHEON_DATA_DIR": str(stack.data_dir), "PANTHEON_PORT": stack.url.rpartition(":")[2]}
    terminal = Terminal(environ, "bash", "-c", in_venv("chat writer", stack))
    try:
        terminal.wait_for("writer> ")
        terminal.type("hello\r")
        assert "You said: hello" in terminal.wait_for("USD.*writer> ")
    finally:
        terminal.close()


def test_what_the_command_prints_is_what_the_readme_shows(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    greet(stack)
    printed = re.sub(r"=eyJ\S+", f"={TOKEN}", capsys.readouterr().out.replace(stack.url, ADDRESS))
    assert blocks(section("Run it"))[1] in printed


def test_the_table_of_variables_is_that_of_the_command_and_every_one_is_known() -> None:
    in_table = re.findall(r"`(PANTHEON_\w+)`", "".join(re.findall(r"^\|.*?\|", section("Other models"), re.MULTILINE)))
    help_ = subprocess.run(
        [sys.executable, "-c", "from local.cli import main; main()", "run", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert sorted(in_table) == sorted(re.findall(r"^  (PANTHEON_\w+)", help_.stdout, re.MULTILINE))
    assert set(in_table) <= {*Env, *LocalEnv}
    assert set(LocalEnv) <= set(in_table)
