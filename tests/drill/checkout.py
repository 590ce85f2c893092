"""Lay out the committed files of the release before next to the files of this one."""

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
MIGRATIONS = "migrations/versions"


class NoHistory(Exception):
    """The commit is not in this clone."""


def previous() -> str:
    """Return the last tag before this commit, or else the commit before the newest migration. Raises NoHistory."""
    tag = _git("describe", "--tags", "--abbrev=0", "HEAD^", check=False)
    if tag:
        return tag
    return f"{_git('log', '-1', '--format=%H', '--diff-filter=A', '--', f'{MIGRATIONS}/*.py')}^"


def resolve(ref: str) -> str:
    """Return the whole hash of a commit. Raises NoHistory."""
    return _git("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")


def lay_out(commit: str, folder: Path) -> None:
    """Empty `folder` and write the files of `commit` into it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = ["git", "archive", "--format=tar", commit]
    archive = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")


def copy(folder: Path) -> None:
    """Empty `folder` and copy the files that run on Lambda into it. The working tree may change during the drill."""
    shutil.rmtree(folder, ignore_errors=True)
    for package in ("functions", "shared", "migrations"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))


def _git(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    said = done.stdout.strip()
    if check and (done.returncode or not said):
        raise NoHistory(
            "The release before is not in this clone. Fetch the history (git fetch --unshallow --tags), or name a "
            "commit that is here: make drill PREVIOUS=<ref>"
        )
    return said
