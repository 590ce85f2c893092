"""Tests that a deployment reports its commit."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from functions.api import commit as deployed
from infra_cdk import bundle
from infra_cdk.entries import API, ENTRIES
from local import cli
from shared.commit import COMMIT_FILE, checked_out
from shared.names import VERSION

GIT = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false")


@pytest.fixture
def work_tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "file").write_text("one")
    for arguments in (("init", "-q"), ("add", "file"), ("commit", "-q", "-m", "One."), ("tag", "v1")):
        subprocess.run([*GIT, *arguments], cwd=folder, check=True)
    return folder


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    deployed.commit.cache_clear()
    yield
    deployed.commit.cache_clear()


def head(folder: Path) -> str:
    ran = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True)
    return ran.stdout.strip()


def test_commit_is_the_whole_hash_with_any_tags(work_tree: Path) -> None:
    assert checked_out(work_tree) == head(work_tree)


def test_commit_ends_in_dirty_when_a_file_has_changed(work_tree: Path) -> None:
    (work_tree / "file").write_text("two")
    assert checked_out(work_tree) == f"{head(work_tree)}-dirty"


def test_commit_is_none_outside_a_work_tree(tmp_path: Path) -> None:
    assert checked_out(tmp_path) is None


def test_api_returns_the_bundled_commit_and_asks_git_only_without_one(
    work_tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundled = work_tree / COMMIT_FILE
    monkeypatch.setattr(deployed, "_BUNDLED", bundled)
    monkeypatch.setattr(deployed, "_ROOT", work_tree)
    assert deployed.commit() == head(work_tree)
    bundled.write_text("c0ffee\n")
    deployed.commit.cache_clear()
    assert deployed.commit() == "c0ffee"


@pytest.mark.parametrize("commit", ["c0ffee", None])
def test_bundle_has_the_commit_only_in_the_api_function(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, commit: str | None
) -> None:
    """In a layer, each commit would make a new version of every function."""
    monkeypatch.setattr(bundle, "_install", lambda *_: None)
    monkeypatch.setattr(bundle, "checked_out", lambda _: commit)
    assets = bundle.bundle(tmp_path / "out", "aarch64", None, None)
    found = list((tmp_path / "out").rglob(COMMIT_FILE))
    place = assets.function(API.name) / Path(deployed.__file__).relative_to(bundle.ROOT).with_name(COMMIT_FILE)
    assert found == ([place] if commit else [])
    assert [path.read_text() for path in found] == (["c0ffee\n"] if commit else [])
    assert len(ENTRIES) > 1


@pytest.mark.parametrize(
    ("commit", "printed"), [("c0ffee", f"pantheon {VERSION} (c0ffee)\n"), (None, f"pantheon {VERSION}\n")]
)
def test_command_prints_version_and_commit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], commit: str | None, printed: str
) -> None:
    monkeypatch.setattr(cli, "checked_out", lambda _: commit)
    monkeypatch.setattr("sys.argv", ["pantheon", "--version"])
    with pytest.raises(SystemExit, match=r"^0$"):
        cli.main()
    assert capsys.readouterr().out == printed
