"""Installs the hooks of .githooks in a checkout that has no hooks of its own.

python -m tests.prose.hook
"""

import subprocess
import sys
from pathlib import Path

HOOKS = ".githooks"
_ROOT = Path(__file__).parents[2]


def install(root: Path) -> bool:
    """Set core.hooksPath, and return whether this call did it."""
    if _git(root, "rev-parse", "--show-toplevel") != str(root.resolve()):
        return False
    if _git(root, "config", "--get", "core.hooksPath") or _has_hooks(root):
        return False
    _git(root, "config", "core.hooksPath", HOOKS)
    return True


def main() -> int:
    if install(_ROOT):
        print("Git now checks the subjects of commits. Undo: git config --unset core.hooksPath")
    return 0


def _has_hooks(root: Path) -> bool:
    """Return whether core.hooksPath would switch a hook of the user off."""
    folder = root / (_git(root, "rev-parse", "--git-path", "hooks") or "")
    return any(hook.suffix != ".sample" for hook in folder.glob("*"))


def _git(root: Path, *arguments: str) -> str:
    """Return what git prints, or nothing without git or where it fails."""
    try:
        ran = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return ran.stdout.strip() if ran.returncode == 0 else ""


if __name__ == "__main__":
    sys.exit(main())
