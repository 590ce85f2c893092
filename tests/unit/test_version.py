"""Tests the version check of a release tag."""

import pytest

from local.version import fault
from shared.names import VERSION

DATED = f"# Changelog\n\n## {VERSION} - 2026-12-01\n"


def test_tag_of_the_version_with_a_date_is_released() -> None:
    assert fault(f"v{VERSION}", DATED) is None


@pytest.mark.parametrize("tag", [VERSION, "v9.9.9", f"v{VERSION}-rc1", ""])
def test_tag_of_another_version_is_refused(tag: str) -> None:
    assert "is not the version" in (fault(tag, DATED) or "")


def test_version_without_a_date_is_refused() -> None:
    assert "no date" in (fault(f"v{VERSION}", f"## {VERSION} - unreleased\n") or "")
