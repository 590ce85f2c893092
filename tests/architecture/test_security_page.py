"""docs/threats.md names a test for each threat, and docs/security.md has a section for each kind of power."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
THREATS = (ROOT / "docs" / "threats.md").read_text()


def test_each_threat_names_a_test_that_is_there() -> None:
    threats = [line for line in THREATS.splitlines() if line.startswith("| ")][2:]
    named = [re.findall(r"`(tests/[\w/]+\.py)`", line) for line in threats]
    assert len(threats) > 20
    assert [line for line, tests in zip(threats, named, strict=True) if len(tests) != 1] == []
    assert [test for tests in named for test in tests if "def test_" not in (ROOT / test).read_text()] == []


def test_each_section_about_power_is_there() -> None:
    sections = set(re.findall(r"^## (.+)$", PAGE, re.MULTILINE))
    assert {
        "Identity",
        "Access",
        "Text of models",
        "Money",
        "Database",
        "Limits",
        "Report a vulnerability",
    } <= sections
