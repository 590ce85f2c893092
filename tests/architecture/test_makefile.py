"""Tests that `make help` lists every target, and that each listed target exists."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()


def listed() -> list[str]:
    printed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return re.findall(r"^  make ([a-z-]+) +\S", printed, re.MULTILINE)


def test_help_lists_every_phony_target() -> None:
    phony = {name for line in re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE) for name in line.split()}
    assert sorted(listed()) == sorted(phony)


def test_every_target_of_the_list_has_a_rule() -> None:
    for target in listed():
        # -n prints the commands, and fails if there is no rule.
        ran = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
        assert "No rule" not in ran.stderr, ran.stderr
        assert "Nothing to be done" not in ran.stdout, target
