"""Tests `pantheon reconcile` on the log of a provider that was really asked, with every outcome of a call."""

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest

from local import cli, operations_url, postgres
from local.database import role_urls
from shared.errors import ConfigurationError
from shared.llm.openai_compatible import OpenAICompatibleProvider
from shared.llm.port import Completion, OnText, Request
from shared.names import Env, LocalEnv
from tests.support.council_room import CouncilRoom, Killed
from tests.support.fake_provider import FakeProvider, moods

Command = Callable[..., tuple[int, str, str]]
LOST = [
    moods.reset_before_answer(),
    moods.close_without_answer(),
    moods.cut_short(),
    moods.no_usage(),
    moods.html_200(),
    moods.status(500),
    moods.status(408),
    moods.ok("So.", usage={"prompt_tokens": "many", "completion_tokens": 1}),
]


@dataclass
class Mortal:
    """A provider whose caller dies before its next request is sent, or after its answer."""

    provider: OpenAICompatibleProvider
    dies: str = ""

    def complete(self, request: Request, _on_text: OnText | None = None) -> Completion:
        dies, self.dies = self.dies, ""
        if dies == "before":
            raise Killed
        completion = self.provider.complete(request)
        if dies == "after":
            raise Killed
        return completion


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "provider.jsonl"


@pytest.fixture
def provider(log: Path) -> Iterator[FakeProvider]:
    with FakeProvider(log) as server:
        yield server


@pytest.fixture
def mortal(provider: FakeProvider) -> Iterator[Mortal]:
    with closing(OpenAICompatibleProvider(provider.url)) as client:
        yield Mortal(client)


@pytest.fixture
def pantheon(ops_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command. Returns its exit code, its output and its errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setenv(Env.OPS_DATABASE_URL, ops_url)
        monkeypatch.setattr("sys.argv", ["pantheon", *map(str, arguments)])
        capsys.readouterr()
        # The command closes its files to other users, for the whole process.
        umask = os.umask(0o077)
        try:
            code = cli.main()
        finally:
            os.umask(umask)
        return code, *capsys.readouterr()

    return run


def take(room: CouncilRoom, mortal: Mortal, dies: str = "") -> None:
    """Take a turn of one agent in a session of its own, and resume it if its runner dies."""
    mortal.dies = dies
    message, session_id = "@writer hello", room.make_session()
    runner = room.runner(provider=mortal)
    if not dies:
        room.take(message, runner=runner, session_id=session_id)
        return
    room.resume(room.take_until_killed(message, runner=runner, session_id=session_id), runner)


def cost_by_call(room: CouncilRoom) -> dict[str, Decimal]:
    """Return each call's cost on the ledger, of all payers."""
    rows = room.rows("SELECT call_id::text, sum(amount_usd) AS usd FROM usage_ledger GROUP BY call_id")
    return {row["call_id"]: row["usd"] for row in rows}


def charges(room: CouncilRoom, log: Path) -> dict[str, Decimal]:
    """Return each call's cost by the provider's log, at the rates of the call."""
    rates = {row["call_id"]: row["rates"] for row in room.rows("SELECT call_id::text, rates FROM llm_calls")}
    found = {}
    for line in map(json.loads, log.read_text().splitlines()):
        tokens, rate = line["tokens"] or {}, rates[line["call_id"]]
        counted = sum(tokens.get(f"{name}_tokens", 0) * Decimal(rate[name]) for name in rate)
        found[line["call_id"]] = counted / 1_000_000
    return found


def test_reconciliation_empties_suspense_and_matches_the_log_call_by_call(
    room: CouncilRoom, provider: FakeProvider, mortal: Mortal, log: Path, pantheon: Command
) -> None:
    for mood in LOST:
        provider.add(mood)
        take(room, mortal)
    for dies in ("after", "before", "after"):
        take(room, mortal, dies)
    room.rows("UPDATE llm_calls SET created_at = created_at - interval '49 hours' RETURNING 1")
    lost = room.row("SELECT count(*) AS calls FROM llm_calls WHERE status = 'unknown'")["calls"]
    assert lost == len(LOST) + 3

    code, printed, complaints = pantheon("reconcile", log)
    assert (code, complaints) == (0, "")
    assert printed.splitlines()[-1] == "Nothing is in suspense."
    assert room.accounts()["suspense"] == 0
    charged = charges(room, log)
    (never_sent,) = cost_by_call(room).keys() - charged.keys()
    assert cost_by_call(room) == {**charged, never_sent: 0}
    assert sum(charged.values()) == room.accounts()["tenant"] + room.accounts()["platform"]

    ledger = room.rows("SELECT * FROM usage_ledger ORDER BY id")
    assert pantheon("reconcile", log)[0] == 0
    assert room.rows("SELECT * FROM usage_ledger ORDER BY id") == ledger


def test_a_record_of_one_provider_decides_about_its_calls_alone(
    room: CouncilRoom, provider: FakeProvider, mortal: Mortal, log: Path, pantheon: Command
) -> None:
    for dies in ("after", "before"):
        take(room, mortal, dies)
    room.rows("UPDATE llm_calls SET created_at = created_at - interval '49 hours' RETURNING 1")
    before = room.rows("SELECT * FROM usage_ledger ORDER BY id")
    code, printed, complaints = pantheon("reconcile", "--provider", "north", log)
    assert (code, "of another provider than north" in complaints) == (1, True)
    assert len(provider.rows) > 0
    assert room.rows("SELECT * FROM usage_ledger ORDER BY id") == before
    assert "moved to their cost                    0" in printed
    assert "set to zero, not recorded              0" in printed
    room.rows("UPDATE llm_calls SET provider = 'north' RETURNING 1")
    code, printed, complaints = pantheon("reconcile", "--provider", "north", log)
    assert (code, complaints, printed.splitlines()[-1]) == (0, "", "Nothing is in suspense.")


def test_calls_in_bedrocks_own_log_have_no_file(log: Path, pantheon: Command) -> None:
    log.write_text("")
    code, _, complaints = pantheon("reconcile", "--provider", "bedrock", log)
    assert code == 1
    assert complaints == (
        "pantheon: Calls of the provider 'bedrock' are in Bedrock's invocation log. The reconciler function reads it.\n"
    )


def test_check_prints_its_actions_and_the_suspense(
    room: CouncilRoom, mortal: Mortal, log: Path, pantheon: Command
) -> None:
    take(room, mortal, "after")
    take(room, mortal, "before")
    ledger = room.rows("SELECT * FROM usage_ledger ORDER BY id")
    code, printed, _ = pantheon("reconcile", "--check", log)
    assert (code, room.rows("SELECT * FROM usage_ledger ORDER BY id")) == (0, ledger)
    told = re.findall(r"^(\S.*?) +(\d+)\b", printed, re.MULTILINE)
    assert told == [
        ("records of our calls", "3"),
        ("would be moved to their cost", "1"),
        ("would be set to zero, not recorded", "0"),
        ("of turns that have not ended", "0"),
        ("scripted scripted-fast", "2"),
    ]
    pantheon("reconcile", log, "--silent-after", "1d")
    assert room.accounts()["suspense"] > 0
    room.rows("UPDATE llm_calls SET created_at = created_at - interval '25 hours' RETURNING 1")
    pantheon("reconcile", log, "--silent-after", "1d")
    assert room.accounts()["suspense"] == 0


def test_a_record_that_does_not_fit_the_journal_is_a_failure_that_names_the_calls(
    room: CouncilRoom, mortal: Mortal, log: Path, pantheon: Command
) -> None:
    take(room, mortal)
    (call_id,) = (str(row[0]) for row in room.calls("call_id"))
    stranger = str(uuid4())
    with log.open("a") as record:
        for each in (call_id, stranger):
            record.write(json.dumps({"call_id": each, "billed": False}) + "\n")
    code, printed, complaints = pantheon("reconcile", log)
    assert (code, printed.splitlines()[0].split()[-1]) == (1, "3")
    assert complaints.startswith("pantheon: The record does not match the journal. It has calls: 1 not in the journal")
    assert stranger in complaints
    assert call_id in complaints
    assert len(complaints.splitlines()) == 1


def test_a_line_that_cannot_be_read_is_a_failure(room: CouncilRoom, log: Path, pantheon: Command) -> None:
    log.write_text("{\n")
    assert pantheon("reconcile", log)[::2] == (
        1,
        "pantheon: Lines that cannot be read: 1. No call was set to zero.\n",
    )


def test_a_file_that_is_not_there_is_a_failure(room: CouncilRoom, log: Path, pantheon: Command) -> None:
    code, _, complaints = pantheon("reconcile", log.with_name("nowhere"))
    assert (code, len(complaints.splitlines())) == (1, 1)
    assert "nowhere" in complaints


class TestDatabase:
    def test_command_uses_the_named_database(self, tmp_path: Path) -> None:
        environ = {LocalEnv.DATA_DIR.value: str(tmp_path), LocalEnv.DATABASE_URL.value: "postgresql://me:x@db/p"}
        with operations_url.operations_url(environ) as url:
            assert url == role_urls("postgresql://me:x@db/p").ops
        with operations_url.operations_url({**environ, Env.OPS_DATABASE_URL.value: "postgresql://named"}) as url:
            assert url == "postgresql://named"

    def test_command_uses_the_stacks_database_whether_it_runs_or_not(self, tmp_path: Path) -> None:
        environ = {LocalEnv.DATA_DIR.value: str(tmp_path)}
        with pytest.raises(ConfigurationError, match="There is no database"), operations_url.operations_url(environ):
            pass
        assert list(tmp_path.iterdir()) == []
        with postgres.start(tmp_path / "postgres", settings={"fsync": "off"}) as server:
            with operations_url.operations_url(environ) as url:
                assert url == role_urls(server.url).ops
            assert postgres.find(tmp_path / "postgres") == server.url
        assert postgres.find(tmp_path / "postgres") is None
        with operations_url.operations_url(environ) as url:
            running = postgres.find(tmp_path / "postgres")
            assert running is not None
            assert url == role_urls(running).ops
        assert postgres.find(tmp_path / "postgres") is None
