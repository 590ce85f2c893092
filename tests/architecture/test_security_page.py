"""Each threat in docs/threats.md names a test that exists, and docs/security.md has its sections."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
THREATS = (ROOT / "docs" / "threats.md").read_text()


def test_threat_names_a_test_that_exists() -> None:
    threats = [line for line in THREATS.splitlines() if line.startswith("| ")][2:]
    named = [re.findall(r"`(tests/[\w/]+\.py)`", line) for line in threats]
    assert len(threats) > 20
    assert [line for line, tests in zip(threats, named, strict=True) if len(tests) != 1] == []
    assert [test for tests in named for test in tests if "def test_" not in (ROOT / test).read_text()] == []


def test_security_page_has_its_sections() -> None:
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
