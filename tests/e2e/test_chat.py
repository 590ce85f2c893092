"""Tests `pantheon chat` in a pseudo-terminal and from a file."""

import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from local.stack import Stack
from tests.e2e.test_cli import PANTHEON
from tests.support.fake_provider import moods
from tests.support.processes import DEADLINE_S, eventually
from tests.support.stack.tenant import Tenant

TIMEOUT_S = 60.0
_SETTLED_S = 1.0


class Terminal:
    """A program in a pseudo-terminal, as its user sees it."""

    def __init__(self, environ: dict[str, str], *command: str) -> None:
        self._mine, theirs = pty.openpty()
        environ = environ | {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
        # The terminal is the controlling one of its own session, so Ctrl-C is a character. The shell ignores SIGINT, as
        # for a background program.
        shell = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]
        self.process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", *shell, *command], stdin=theirs, stdout=theirs, stderr=theirs, env=environ
        )
        os.close(theirs)
        self.shown = ""

    def type(self, text: str) -> None:
        os.write(self._mine, text.encode())

    def interrupt_prompt(self) -> None:
        """Send Ctrl-C once the program waits for a key.

        Python's readline misses a signal between the prompt and this wait until the next key.
        """
        time.sleep(_SETTLED_S)
        self.type("\x03")

    def wait_for(self, pattern: str) -> str:
        """Return the output up to the pattern, and drop it from the buffer."""
        deadline = time.monotonic() + DEADLINE_S
        while not (found := re.search(pattern, self.shown, re.DOTALL)):
            assert time.monotonic() < deadline, f"no {pattern!r} in {self.shown!r}"
            if select.select([self._mine], [], [], 0.1)[0]:
                try:
                    self.shown += os.read(self._mine, 65536).decode(errors="replace")
                except OSError:  # the program has ended
                    time.sleep(0.05)
        text, self.shown = self.shown[: found.end()], self.shown[found.end() :]
        return text

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._mine)


def environ(stack: Stack, tenant: Tenant) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PANTHEON_")}
    return kept | {"PANTHEON_URL": stack.url, "PANTHEON_TOKEN": stack.token(tenant=tenant.id)}


@contextmanager
def chatting(stack: Stack, tenant: Tenant, *arguments: str) -> Iterator[Terminal]:
    terminal = Terminal(environ(stack, tenant), *PANTHEON, "chat", *arguments)
    try:
        yield terminal
    finally:
        terminal.close()


@pytest.fixture
def council(tenant: Tenant) -> str:
    """A council in mode `manual`, whose two agents answer."""
    tenant.make_agents("writer", "researcher")
    tenant.make_council("panel", "writer", "researcher", mode="tag", fan_out="sequential")
    return "panel"


def test_council_answers_in_markdown_with_the_cost_of_each_turn(stack: Stack, tenant: Tenant, council: str) -> None:
    tenant.provider.answer_with(lambda _: moods.ok("This is **bold**."))
    with chatting(stack, tenant, council) as terminal:
        assert "You talk to Panel. /help lists the commands." in terminal.wait_for("panel> ")
        terminal.type("@writer @researcher hello\r")
        told = terminal.wait_for("USD.*panel> ")
        assert "**" not in told
        assert told.count("This is ") >= 2
        assert re.search(r"Writer.*Researcher.*0\.\d+ USD", told, re.DOTALL)
        terminal.type("/cost\r")
        assert re.search(r"This chat: 0\.\d+ USD in 1 turns\.", terminal.wait_for("panel> "))
        terminal.type("/quit\r")
        assert terminal.process.wait(TIMEOUT_S) == 0
    (session,) = tenant.http.get("sessions").json()["items"]
    assert (session["title"], session["mode"]) == ("@writer @researcher hello", "tag")
    (turn,) = tenant.http.get(f"sessions/{session['id']}/turns").json()["items"]
    assert [reply["name"] for reply in turn["replies"]] == ["Writer", "Researcher"]


def test_switch_goes_on_with_another_agent_in_a_new_session(stack: Stack, tenant: Tenant, council: str) -> None:
    with chatting(stack, tenant) as terminal:
        terminal.wait_for("panel> ")
        terminal.type("/switch\r")
        assert re.search("panel  Panel.*writer  Writer", terminal.wait_for("panel> "), re.DOTALL)
        terminal.type("/switch nobody\r")
        assert "no agent 'nobody'" in terminal.wait_for("panel> ")
        terminal.type("/switch writer\r")
        terminal.wait_for("writer> ")
        terminal.type("hello\r")
        terminal.wait_for("You said: hello.*USD.*writer> ")
        terminal.type("/nonsense\r")
        assert "There is no command /nonsense." in terminal.wait_for("writer> ")
        terminal.type("\x04")
        assert terminal.process.wait(TIMEOUT_S) == 0
    (session,) = tenant.http.get("sessions").json()["items"]
    assert session["agent_keys"] == ["writer"]


def test_ctrl_c_cancels_the_turn_and_what_is_finished_is_kept(stack: Stack, tenant: Tenant, council: str) -> None:
    tenant.provider.add(moods.hold(), when="You are Researcher,")
    before = len(tenant.provider.rows)
    with chatting(stack, tenant, council) as terminal:
        terminal.wait_for("panel> ")
        terminal.type("@writer @researcher hello\r")
        tenant.provider.wait_for_requests(before + 2, timeout_s=TIMEOUT_S)
        terminal.wait_for("Writer")
        terminal.type("\x03")
        terminal.wait_for("Cancelling the turn")
        tenant.provider.release()
        assert "The turn is cancelled" in terminal.wait_for("USD.*panel> ")
        # The next message is answered.
        tenant.provider.clear()
        terminal.type("@writer again\r")
        terminal.wait_for("You said: .*USD.*panel> ")
        terminal.interrupt_prompt()
        terminal.wait_for("Ctrl-C again.*panel> ")
        terminal.interrupt_prompt()
        assert terminal.process.wait(TIMEOUT_S) == 130
    (session,) = tenant.http.get("sessions").json()["items"]
    again, cancelled = tenant.http.get(f"sessions/{session['id']}/turns").json()["items"]
    assert (again["status"], cancelled["status"]) == ("completed", "cancelled")


def test_second_ctrl_c_leaves_while_the_turn_is_cancelled(stack: Stack, tenant: Tenant, council: str) -> None:
    tenant.provider.add(moods.hold(), when="You are Writer,")
    before = len(tenant.provider.rows)
    with chatting(stack, tenant, council) as terminal:
        terminal.wait_for("panel> ")
        terminal.type("@writer hello\r")
        tenant.provider.wait_for_requests(before + 1, timeout_s=TIMEOUT_S)
        terminal.type("\x03")
        terminal.wait_for("Ctrl-C again leaves at once")
        terminal.type("\x03")
        assert terminal.process.wait(TIMEOUT_S) == 130
    tenant.provider.release()
    (session,) = tenant.http.get("sessions").json()["items"]

    def status() -> bool:
        (turn,) = tenant.http.get(f"sessions/{session['id']}/turns").json()["items"]
        return bool(turn["status"] == "cancelled")

    eventually(status)


def test_turn_whose_process_dies_is_followed_and_shown_once(stack: Stack, tenant: Tenant, council: str) -> None:
    tenant.provider.add(moods.hold(), when="You are Researcher,")
    before = len(tenant.provider.rows)
    with chatting(stack, tenant, council) as terminal:
        terminal.wait_for("panel> ")
        terminal.type("@writer @researcher hello\r")
        tenant.provider.wait_for_requests(before + 2, timeout_s=TIMEOUT_S)
        turn = tenant.row("SELECT id::text FROM turns WHERE tenant_id = %s", tenant.id)
        for pid in connected_to_provider(stack):
            os.kill(pid, signal.SIGKILL)
        tenant.provider.clear()
        tenant.provider.release()
        tenant.expire_lease(turn["id"])
        told = terminal.wait_for("USD.*panel> ")
        assert told.count("\x1b[1mResearcher\x1b[0m\r\n") >= 1
        # The live part is cleared before a reply is finally printed.
        assert told.rpartition("\x1b[2K")[2].count("Researcher\x1b") <= 1
        terminal.type("/quit\r")
        assert terminal.process.wait(TIMEOUT_S) == 0
    assert tenant.row("SELECT count(*) AS turns FROM turns WHERE tenant_id = %s", tenant.id) == {"turns": 1}


def connected_to_provider(stack: Stack) -> list[int]:
    """The workers of the turns function."""
    import psutil

    found = [
        each for each in psutil.Process().children(recursive=True) if "functions.turns." in " ".join(each.cmdline())
    ]
    return [each.pid for each in found if each.ppid() in {other.pid for other in found}]


def test_piped_messages_are_answered_as_plain_text(stack: Stack, tenant: Tenant, council: str) -> None:
    tenant.provider.answer_with(lambda _: moods.ok("This is **bold**."))
    command = [*PANTHEON, "chat", "writer"]
    told = subprocess.run(
        command,
        env=environ(stack, tenant),
        input="hello\n",
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (told.returncode, told.stderr) == (0, "")
    assert "Writer\nThis is **bold**.\n" in told.stdout


def test_chat_prints_one_line_without_councils_or_with_an_unknown_one(stack: Stack, tenant: Tenant) -> None:
    def line(*arguments: str) -> str:
        command = [*PANTHEON, "chat", *arguments]
        told = subprocess.run(command, env=environ(stack, tenant), capture_output=True, text=True, check=False)
        assert told.returncode == 1
        return told.stderr

    assert line() == "pantheon: There is no council and no agent: make some with `pantheon apply`.\n"
    tenant.make_agents("writer")
    assert line("panel") == "pantheon: There is no council and no agent 'panel'. There are: writer.\n"
