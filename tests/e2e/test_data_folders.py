"""Tests data folders that an earlier or newer release used, that are broken, or that cannot be written."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg.rows import dict_row

from local.data_folder import StackError
from local.gateway.template import FunctionStartError
from local.gateway.tokens import TokenKey, TokenKeyError
from local.postgres import PostgresError
from local.stack import Stack
from shared.db.schema.tables import MIGRATION_HEAD
from tests.drill import checkout
from tests.support.council_room import broken_invariants
from tests.support.stack.tenant import open_client

# The last commit before the console, the chat and the supervision. An upgrade must keep its data.
EARLIER = "9d14a50"
EARLIER_RUN = """
import json, os, sys
from local.stack import Stack
with Stack.start(os.environ) as stack:
    print(json.dumps({"url": stack.url, "token": stack.token(), "session": stack.session_id}), flush=True)
    sys.stdin.readline()
"""


def environ(data_dir: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PANTHEON_")}
    return kept | {"PANTHEON_PORT": "0", "PANTHEON_DATA_DIR": str(data_dir), "PANTHEON_LLM_PROVIDER": "scripted"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a stack that has been stopped."""
    data_dir = tmp_path_factory.mktemp("made") / "data"
    Stack.start(environ(data_dir)).stop()
    return data_dir


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of it with the same owners."""
    copy = tmp_path / "data"
    subprocess.run(["cp", "-a", str(made), str(copy)], check=True)
    return copy


class TestEarlierRelease:
    @pytest.fixture
    def release(self, tmp_path: Path) -> Path:
        try:
            commit = checkout.resolve(EARLIER)
        except checkout.NoHistory:
            pytest.skip("this clone does not have the commit")
        checkout.lay_out(commit, tmp_path / "release")
        return tmp_path / "release"

    @pytest.fixture
    def stored(self, release: Path, tmp_path: Path) -> dict[str, object]:
        """A turn that the earlier release took, and its session."""
        env = environ(tmp_path / "data") | {"PYTHONPATH": str(release)}
        pipe = subprocess.PIPE
        command = [sys.executable, "-P", "-c", EARLIER_RUN]
        with subprocess.Popen(command, env=env, cwd=release, text=True, stdin=pipe, stdout=pipe) as running:
            assert running.stdout is not None
            told = httpx.Response(200, content=running.stdout.readline()).json()
            with open_client(told["url"], told["token"]) as http:
                answer = http.post(f"sessions/{told['session']}/turns", json={"message": "@writer hello"})
                assert answer.status_code == 201
            running.communicate("\n")
        return {"turn": answer.json(), **told}

    def test_upgrade_keeps_the_stored_data_and_the_session_goes_on(
        self, stored: dict[str, str], tmp_path: Path
    ) -> None:
        with (
            Stack.start(environ(tmp_path / "data")) as stack,
            # The key that signs tokens is unchanged.
            open_client(stack.url, stored["token"]) as http,
            psycopg.connect(stack.owner_url, autocommit=True, row_factory=dict_row) as owner,
        ):
            turn = stored["turn"]
            assert isinstance(turn, dict)
            kept = http.get(f"turns/{turn['id']}").json()
            assert {name: kept[name] for name in ("output", "cost_usd", "status")} == {
                name: turn[name] for name in ("output", "cost_usd", "status")
            }
            answer = http.post(f"sessions/{stored['session']}/turns", json={"message": "@writer again"})
            assert (answer.status_code, answer.json()["turn_index"]) == (201, 2)
            assert broken_invariants(owner) == {}


def test_folder_that_a_newer_release_has_migrated_is_refused(folder: Path) -> None:
    with Stack.start(environ(folder)) as stack, psycopg.connect(stack.owner_url, autocommit=True) as owner:
        owner.execute("UPDATE public.alembic_version SET version_num = '9999'")
    with pytest.raises(StackError) as raised:
        Stack.start(environ(folder))
    assert str(raised.value) == (
        "A newer release of Pantheon has migrated the database to 9999, and this one knows migrations up to "
        f"{MIGRATION_HEAD}. Use the newer release, or another PANTHEON_DATA_DIR."
    )


def empty_cluster(folder: Path) -> None:
    shutil.rmtree(folder / "postgres" / "cluster")
    (folder / "postgres" / "cluster").mkdir()


def folder_for_a_log(folder: Path) -> None:
    (folder / "log" / "api.log").unlink()
    (folder / "log" / "api.log").mkdir()


BROKEN: dict[str, tuple[Callable[[Path], object], type[Exception], str]] = {
    "without a part of the cluster": (
        lambda folder: shutil.rmtree(folder / "postgres" / "cluster" / "global"),
        PostgresError,
        "did not start on .*/postgres: .*restore the folder from a copy, or move it away",
    ),
    "with an empty cluster": (
        empty_cluster,
        PostgresError,
        "is not a data folder of PostgreSQL",
    ),
    "of another PostgreSQL": (
        lambda folder: (folder / "postgres" / "cluster" / "PG_VERSION").write_text("17\n"),
        PostgresError,
        "has the data of PostgreSQL 17, and PostgreSQL 18 is installed",
    ),
    "with another password": (
        lambda folder: (folder / "postgres" / "pgpass").write_text("127.0.0.1:*:*:postgres:other\n"),
        StackError,
        "refuses the password in .*pgpass. Remove the file",
    ),
    "with a broken key": (
        lambda folder: (folder / "token-key.pem").write_text("junk"),
        TokenKeyError,
        "cannot be read as a key. Remove it",
    ),
    "with a folder for a log": (
        folder_for_a_log,
        FunctionStartError,
        "cannot write .*api.log: Is a directory",
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_broken_folder_prints_one_line_with_the_remedy(folder: Path, how: str) -> None:
    spoil, kind, text = BROKEN[how]
    spoil(folder)
    with pytest.raises(kind, match=text) as raised:
        Stack.start(environ(folder))
    assert "\n" not in str(raised.value)


def test_folder_whose_password_was_removed_gets_a_new_one(folder: Path) -> None:
    (folder / "postgres" / "pgpass").unlink()
    with Stack.start(environ(folder)) as stack:
        assert httpx.get(f"{stack.url}/api/v1/health").status_code == 200


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a folder")
def test_folder_that_is_read_only_is_one_line(folder: Path) -> None:
    mounted = subprocess.run(["mount", "--bind", folder, folder], check=False, capture_output=True).returncode == 0
    if not mounted:
        pytest.skip("this machine lets nobody mount")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        with pytest.raises(StackError, match=r"^PANTHEON_DATA_DIR: .*: Read-only file system\.$"):
            Stack.start(environ(folder))
    finally:
        subprocess.run(["umount", folder], check=True)


def test_key_of_tokens_is_kept(folder: Path) -> None:
    before = TokenKey.load(folder).jwks
    Stack.start(environ(folder)).stop()
    assert TokenKey.load(folder).jwks == before
