"""The release before against the schema of this one: its own integration tests, with the newer migrations in the
place of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from tests.drill.checkout import ROOT, lay_out

LOCK = Path("functions") / "requirements.txt"
# What the release before says about its own schema, and cannot know of a newer one.
EXCLUDED: Mapping[str, str] = MappingProxyType(
    {
        "tests/integration/test_migrations.py": "its tables and its newest revision are those of the release before",
        "tests/integration/test_release.py": "it names the revision that its migration leads to",
        "tests/integration/test_doctor.py": "the doctor looks at no schema but its own, and says so",
        "tests/integration/test_row_level_security.py::test_one_connection_that_serves_two_tenants_in_turn_shows_each_its_"
        "own": "it compares every column that there is with those of its own tables",
    }
)


def run(commit: str, folder: Path) -> int:
    """Print what pytest prints. Returns its exit code."""
    lay_out(commit, folder)
    shutil.rmtree(folder / "migrations")
    shutil.copytree(ROOT / "migrations", folder / "migrations", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/integration"]
    for name, why in EXCLUDED.items():
        sys.stdout.write(f"  not run: {name}: {why}\n")
        command += ["--deselect", name]
    sys.stdout.flush()
    environ = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(command, cwd=folder, env=environ, check=False).returncode
