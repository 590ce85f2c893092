"""Tests the rule of commit subjects, alone and as a hook of a repository."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.prose.hook import HOOKS, install
from tests.prose.subject import EXAMPLE, LONGEST, of_message, problems
from tests.prose.tree import ROOT


@pytest.mark.parametrize(
    "subject",
    [
        EXAMPLE,
        "shared/db: Force index scans for the gauges that run every minute.",
        "api, docs: Bring the header Retry-After to 429.",
        "tests: Pass two clocks.",
        "Merge branch 'main' into work",
        'Revert "api: Add a header."',
        "fixup! api: Add a header.",
        f"a: Do {'x' * (LONGEST - 7)}.",
    ],
)
def test_a_subject_is_accepted(subject: str) -> None:
    assert problems(subject) == []


@pytest.mark.parametrize(
    ("subject", "word"),
    [
        ("operations: What is read every minute is read by indexes.", "'What'"),
        ("usage: Totals, and the ledger's rows as CSV.", "'Totals'"),
        ("docs: Added a page.", "'Added'"),
        ("docs: Adding a page.", "'Adding'"),
        ("docs: add a page.", "'add'"),
        ("docs: Add a page", "full stop"),
        ("Add a page.", "area"),
        ("Docs: Add a page.", "area"),
        (f"a: Do {'x' * (LONGEST - 6)}.", str(LONGEST)),
    ],
)
def test_a_subject_is_refused_with_its_reason(subject: str, word: str) -> None:
    (problem,) = problems(subject)
    assert word in problem


def test_the_subject_of_a_message_is_its_first_line_that_is_no_comment() -> None:
    assert of_message("# a comment\n\napi: Add a header.\n\nThe reason.\n") == "api: Add a header."


class TestHook:
    @pytest.fixture
    def repository(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        for name, value in {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}.items():
            monkeypatch.setenv(name, value)
        for role in ("AUTHOR", "COMMITTER"):
            monkeypatch.setenv(f"GIT_{role}_NAME", "A Person")
            monkeypatch.setenv(f"GIT_{role}_EMAIL", "person@example.com")
        git(tmp_path, "init", "--quiet")
        shutil.copytree(ROOT / HOOKS, tmp_path / HOOKS)
        for name in ("tests/__init__.py", "tests/prose/__init__.py", "tests/prose/subject.py"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
        return tmp_path

    def test_git_refuses_a_commit_when_its_subject_breaks_a_rule(self, repository: Path) -> None:
        assert install(repository)
        refused = commit(repository, "docs: Added a page.")
        assert refused.returncode != 0
        assert "imperative" in refused.stdout + refused.stderr
        assert commit(repository, "docs: Add a page.").returncode == 0
        assert git(repository, "log", "--format=%s") == "docs: Add a page."

    def test_set_up_installs_the_hook_once(self, repository: Path) -> None:
        assert install(repository)
        assert not install(repository)

    def test_set_up_keeps_the_path_that_a_user_has_set(self, repository: Path) -> None:
        git(repository, "config", "core.hooksPath", "/elsewhere")
        assert not install(repository)
        assert git(repository, "config", "core.hooksPath") == "/elsewhere"

    def test_set_up_keeps_the_hooks_that_a_user_has_written(self, repository: Path) -> None:
        hooks = repository / ".git/hooks"
        hooks.mkdir(exist_ok=True)
        (hooks / "pre-commit").touch()
        assert not install(repository)

    def test_set_up_does_nothing_in_a_folder_that_is_no_checkout(self, repository: Path) -> None:
        assert not install(repository / "tests")
        shutil.rmtree(repository / ".git")
        assert not install(repository)


def commit(repository: Path, subject: str) -> subprocess.CompletedProcess[str]:
    command = ["git", "commit", "--quiet", "--allow-empty", "--message", subject]
    return subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)


def git(repository: Path, *arguments: str) -> str:
    ran = subprocess.run(["git", *arguments], cwd=repository, capture_output=True, text=True, check=True)
    return ran.stdout.strip()
