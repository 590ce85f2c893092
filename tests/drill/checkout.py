"""The release before, as it was committed, laid out beside this one."""

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
    """The last tag before this commit, or else the commit before the newest migration. Raises NoHistory."""
    tag = _git("describe", "--tags", "--abbrev=0", "HEAD^", check=False)
    if tag:
        return tag
    return f"{_git('log', '-1', '--format=%H', '--diff-filter=A', '--', f'{MIGRATIONS}/*.py')}^"


def resolve(ref: str) -> str:
    """The whole hash of a commit. Raises NoHistory."""
    return _git("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")


def lay_out(commit: str, folder: Path) -> None:
    """Write the files of `commit` to `folder`, which is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = ["git", "archive", "--format=tar", commit]
    archive = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")


def copy(folder: Path) -> None:
    """Write what runs on Lambda of this working tree to `folder`, which is emptied first: it may be worked on
    meanwhile."""
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
