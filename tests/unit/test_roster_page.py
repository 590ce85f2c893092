"""The example of a roster can be applied, and the example of a workflow runs commands that exist."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from local.cli import _parser
from local.roster.entries import Stage
from local.roster.file import read_fields
from local.roster.plan import make_plan
from shared.names import CliEnv

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs/examples/roster.toml"
TEXT = (ROOT / "docs/examples/roster-workflow.yml").read_text()
WORKFLOW: dict[Any, Any] = yaml.safe_load(TEXT)
STEPS = {name: job["steps"] for name, job in WORKFLOW["jobs"].items()}


def commands(job: str) -> Iterator[list[str]]:
    """The arguments of each `pantheon` that the job runs."""
    for step in STEPS[job]:
        for line in re.findall(r"^\s*pantheon (.*?)(?: \|\| .*)?$", step.get("run", ""), re.MULTILINE):
            yield shlex.split(line)


def test_example_of_the_page_is_a_valid_roster() -> None:
    plan = make_plan(EXAMPLE, read_fields(EXAMPLE), Stage({}, {"fast": 4096, "deep": 4096}))
    assert [change.place.key for change in plan.changes] == ["judge", "scribe", "court"]


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        ("compare", ["apply", "roster.toml", "--dry-run", "--exit-code"]),
        ("apply", ["apply", "roster.toml"]),
    ],
)
def test_workflow_of_the_page_runs_an_existing_command(job: str, expected: list[str]) -> None:
    (command,) = commands(job)
    assert command == expected
    assert _parser().parse_args(command).command == "apply"


def test_the_commands_that_make_its_keys_are_there() -> None:
    written = re.findall(r"`pantheon (keys [^`]*)`", TEXT)
    assert len(written) == 2
    for command in written:
        _parser().parse_args(shlex.split(command))


@pytest.mark.parametrize("job", STEPS)
def test_workflow_of_the_page_reads_only_its_own_secrets(job: str) -> None:
    values = {name: value for step in STEPS[job] for name, value in step.get("env", {}).items()}
    assert set(values) == {*CliEnv}
    for value in values.values():
        named = re.fullmatch(r"\$\{\{ (secrets|vars)\.([A-Z_]+) \}\}", value)
        assert named is not None
        assert re.search(rf"^#   {named[2]} +(variable|secret) of ", TEXT, re.MULTILINE)


def test_workflow_of_the_page_applies_only_at_a_push_to_main() -> None:
    jobs = {name: job["if"] for name, job in WORKFLOW["jobs"].items()}
    assert jobs == {"compare": "github.event_name == 'pull_request'", "apply": "github.event_name == 'push'"}
    # YAML 1.1 reads the key `on` as true.
    assert WORKFLOW[True]["push"]["branches"] == ["main"]
