"""Tests that a release has one version everywhere, and its changes in CHANGELOG.md."""

import json
import re
import tomllib
from pathlib import Path

from shared.names import VERSION

ROOT = Path(__file__).parents[2]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
# "## 0.2.0 - unreleased" or "## 0.1.0 - 2026-11-21".
_HEADING = re.compile(r"## (\d+\.\d+\.\d+) - (unreleased|\d{4}-\d\d-\d\d)")
GROUPS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")


def headings() -> list[str]:
    return [line for line in CHANGELOG.splitlines() if line.startswith("## ")]


def test_package_takes_its_version_from_the_code() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    assert "version" not in project["project"]
    source = project["tool"]["hatch"]["version"]
    (found,) = re.findall(source["pattern"], (ROOT / source["path"]).read_text(), re.MULTILINE)
    assert found == VERSION


def test_contract_and_sbom_have_the_version_of_the_code() -> None:
    assert json.loads((ROOT / "functions/api/openapi.json").read_text())["info"]["version"] == VERSION
    assert json.loads((ROOT / "functions/sbom.cdx.json").read_text())["metadata"]["component"]["version"] == VERSION


def test_changelog_begins_with_the_version_of_the_code_and_goes_back_in_time() -> None:
    matches = [_HEADING.fullmatch(heading) for heading in headings()]
    assert all(matches), headings()
    versions = [tuple(map(int, match[1].split("."))) for match in matches if match]
    assert ".".join(map(str, versions[0])) == VERSION
    assert versions == sorted(set(versions), reverse=True)
    assert [match[1] for match in matches if match and match[2] == "unreleased"] in ([], [VERSION])


def test_changelog_groups_each_versions_changes_once() -> None:
    for part in re.split(r"^## ", CHANGELOG, flags=re.MULTILINE)[1:]:
        groups = re.findall(r"^### (.+)$", part, re.MULTILINE)
        assert groups == [group for group in GROUPS if group in groups], part[:40]
        assert re.search(r"^- ", part, re.MULTILINE)
