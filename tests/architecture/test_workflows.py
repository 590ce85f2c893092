"""Tests that the workflows hold no secret, have the least rights, and run targets of make."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[2]
PATHS = sorted((ROOT / ".github/workflows").glob("*.yml"))
# Name, commit and tag of each action. A person compared the commit with the tag.
ACTIONS = {
    ("actions/checkout", "3d3c42e5aac5ba805825da76410c181273ba90b1", "v7.0.1"),
    ("actions/setup-node", "820762786026740c76f36085b0efc47a31fe5020", "v7.0.0"),
    ("actions/setup-python", "5fda3b95a4ea91299a34e894583c3862153e4b97", "v7.0.0"),
    ("aws-actions/configure-aws-credentials", "e6de054238d6b7531b4efff3b6587d9aade6a06c", "v6.2.3"),
}
DEPLOYS = "deploy-stage.yml"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]


def read(path: Path) -> dict[str, Any]:
    # YAML 1.1 reads the key `on` as True.
    found: dict[Any, Any] = yaml.safe_load(path.read_text())
    return {"on" if key is True else str(key): value for key, value in found.items()}


def jobs(path: Path) -> Mapping[str, dict[str, Any]]:
    found: Mapping[str, dict[str, Any]] = read(path)["jobs"]
    return found


def commands() -> Iterator[tuple[str, str]]:
    for path in PATHS:
        for name, job in jobs(path).items():
            for step in job.get("steps", ()):
                yield from ((f"{path.name} {name}", line) for line in step.get("run", "").splitlines())


def make_targets() -> set[str]:
    return {target for _, line in commands() for target in re.findall(r"\bmake ([a-z-]+)", line)}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
class TestWorkflow:
    def test_workflow_names_no_secret_and_no_key(self, path: Path) -> None:
        text = path.read_text()
        assert not re.search(r"\bsecrets\b\s*[.:\[]", text)
        assert not re.search(r"aws-(access-key-id|secret-access-key|session-token)|AKIA|ASIA|\bgh[pousr]_", text)
        assert "pull_request_target" not in text

    def test_workflow_pins_each_action_by_a_commit_that_was_compared(self, path: Path) -> None:
        used = re.findall(r"uses: (\S+?)(?:@(\S+) # (\S+))?$", path.read_text(), re.MULTILINE)
        others = [(name, commit, tag) for name, commit, tag in used if not name.startswith("./")]
        assert set(others) <= ACTIONS
        assert all((ROOT / name).exists() for name, *_ in used if name.startswith("./"))

    def test_workflow_grants_nothing_beyond_reading_and_a_token_for_aws(self, path: Path) -> None:
        assert read(path)["permissions"] in ({}, {"contents": "read"})
        for name, job in jobs(path).items():
            granted = job.get("permissions", {"contents": "read"})
            assert granted.items() <= {"contents": "read", "id-token": "write"}.items(), name
            if "id-token" in granted:
                assert DEPLOYS in (path.name, Path(job.get("uses", "")).name), name

    def test_workflow_leaves_no_credentials_in_the_checkout(self, path: Path) -> None:
        steps = [step for job in jobs(path).values() for step in job.get("steps", ())]
        checkouts = [step for step in steps if step.get("uses", "").startswith("actions/checkout@")]
        assert all(step["with"]["persist-credentials"] is False for step in checkouts)

    def test_workflow_puts_no_expression_into_a_command(self, path: Path) -> None:
        """GitHub pastes an expression into the shell's text. A branch could be named like a command."""
        steps = [step for job in jobs(path).values() for step in job.get("steps", ())]
        assert [step["run"] for step in steps if "${{" in step.get("run", "")] == []

    def test_workflow_ends_each_job_after_a_time(self, path: Path) -> None:
        assert all("uses" in job or job["timeout-minutes"] <= 120 for job in jobs(path).values())


def test_pull_request_gets_no_credentials_of_aws() -> None:
    for path in PATHS:
        if "pull_request" in read(path)["on"]:
            assert "id-token" not in path.read_text()
            assert "configure-aws-credentials" not in path.read_text()


def test_stage_is_deployed_by_one_run_at_a_time_and_never_cut_off() -> None:
    (job,) = jobs(ROOT / ".github/workflows" / DEPLOYS).values()
    assert job["concurrency"] == {"group": "deploy-${{ inputs.stage }}", "cancel-in-progress": False}
    assert job["environment"] == "${{ inputs.stage }}"


def test_workflow_shows_deploys_and_tests_a_stage_in_order() -> None:
    (job,) = jobs(ROOT / ".github/workflows" / DEPLOYS).values()
    run = "\n".join(step.get("run", "") for step in job["steps"])
    assert re.findall(r"\bmake ([a-z-]+)", run) == ["diff", "deploy", "smoke"]
    assert 'COMMIT="$GITHUB_SHA"' in run


def test_tag_is_deployed_only_after_the_gate_and_to_prod_only_after_staging() -> None:
    made = jobs(ROOT / ".github/workflows" / "deploy.yml")
    assert {name: job.get("needs") for name, job in made.items()} == {
        "gate": None,
        "by-hand": "gate",
        "staging": "gate",
        "prod": "staging",
    }
    assert [step["run"] for step in made["gate"]["steps"] if "run" in step][-1] == ".ci/run"


def test_command_is_a_target_of_make_that_a_page_explains() -> None:
    makefile = (ROOT / "Makefile").read_text()
    known = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    pages = "\n".join(page.read_text() for page in PAGES)
    assert make_targets()
    assert make_targets() <= known
    assert [name for name in make_targets() if f"make {name}" not in pages] == []


def test_variable_of_a_command_is_one_that_make_reads() -> None:
    makefile = (ROOT / "Makefile").read_text()
    given = {name for _, line in commands() if "make " in line for name in re.findall(r"\b([A-Z]+)=", line)}
    assert given
    assert [name for name in given if f"$({name})" not in makefile] == []
