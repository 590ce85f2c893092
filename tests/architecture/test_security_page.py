"""Tests that each threat in docs/security.md names a test that exists."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()


def test_threat_names_a_test_that_exists() -> None:
    table = PAGE.split("## Threats, and the tests that hold\n")[1].split("\n## ")[0]
    threats = [line for line in table.splitlines() if line.startswith("| ")][2:]
    named = [re.findall(r"`(tests/[\w/]+\.py)`", line) for line in threats]
    assert len(threats) > 20
    assert [line for line, tests in zip(threats, named, strict=True) if len(tests) != 1] == []
    assert [test for tests in named for test in tests if "def test_" not in (ROOT / test).read_text()] == []


def test_security_page_has_its_sections() -> None:
    sections = set(re.findall(r"^## (.+)$", PAGE, re.MULTILINE))
    assert {
        "Who is calling",
        "Who sees what",
        "Text of models",
        "Money",
        "What is not promised",
        "Report a hole",
    } <= sections
