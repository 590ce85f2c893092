"""Run the release before's integration tests on this release's schema, with the newer migrations in place of
its own.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from tests.drill.checkout import MIGRATIONS, ROOT, lay_out

LOCK = Path("functions") / "requirements.txt"
# Tests of the release before that check its own schema. They fail on a newer one.
EXCLUDED: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "its tables and its newest revision are those of the release before": (
            "test_migrations.py::test_alembic_finds_no_drift",
            "test_migrations.py::test_the_migrations_make_the_very_tables_of_the_code",
            "test_migrations.py::test_the_code_names_the_newest_revision",
            "test_migrations.py::test_the_roles_of_the_cluster_may_be_made_by_another_database_at_this_moment",
            "test_release.py::test_the_function_becomes_the_owner_migrates_and_lets_the_roles_in",
            "test_release.py::test_elsewhere_there_is_no_role_to_become_a_member_of",
            "test_release.py::test_it_gives_a_lock_up_and_tries_again",
            "test_row_level_security.py::test_the_code_knows_every_table_of_the_database",
        ),
        "the doctor looks at no schema but its own, and says so": ("test_doctor.py",),
        "it compares every column that there is with those of its own tables": (
            "test_row_level_security.py::test_one_connection_that_serves_two_tenants_in_turn_shows_each_its_own",
        ),
    }
)


def run(commit: str, folder: Path) -> int:
    """Print pytest's output. Returns its exit code."""
    lay_out(commit, folder)
    # Only the migrations are replaced, because the code that runs them imports names of its own release.
    shutil.rmtree(folder / MIGRATIONS)
    shutil.copytree(ROOT / MIGRATIONS, folder / MIGRATIONS, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/integration"]
    for why, names in EXCLUDED.items():
        sys.stdout.write(f"  not run, since {why}: {', '.join(names)}\n")
        command += [f"--deselect=tests/integration/{name}" for name in names]
    sys.stdout.flush()
    environ = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(command, cwd=folder, env=environ, check=False).returncode
