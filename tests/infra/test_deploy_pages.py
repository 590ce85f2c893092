"""docs/deploy.md, docs/stages.md and docs/costs.md are true: commands, settings, examples and figures."""

import dataclasses
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra_cdk.places import Awake, ExistingVpc
from infra_cdk.stage import Stage
from infra_cdk.stages import STAGES
from infra_cdk.stages_file import load

ROOT = Path(__file__).parents[2]
NAMES = ("deploy.md", "stages.md", "costs.md")
PAGES = {name: (ROOT / "docs" / name).read_text() for name in NAMES}
MAKEFILE = (ROOT / "Makefile").read_text()
# `sh` runs on a development machine. `sh account` needs an AWS account.
TAGS = {"sh", "sh account", "toml"}


def blocks(page: str) -> Iterator[tuple[str, str]]:
    """Yield each fenced block with its tag."""
    yield from re.findall(r"^```(.*)\n((?:(?!```).*\n)*)```$", PAGES[page], re.MULTILINE)


def local_commands() -> list[str]:
    return [line for page in NAMES for tag, text in blocks(page) if tag == "sh" for line in text.splitlines()]


@pytest.mark.parametrize("page", NAMES)
def test_block_says_whether_it_needs_an_account(page: str) -> None:
    assert {tag for tag, _ in blocks(page)} <= TAGS
    assert PAGES[page].count("```") == 2 * len(list(blocks(page)))


@pytest.mark.parametrize("page", NAMES)
def test_make_command_is_a_target_with_variables_that_make_reads(page: str) -> None:
    code = "\n".join([*re.findall(r"`([^`\n]+)`", PAGES[page]), *(text for _, text in blocks(page))])
    for target, arguments in re.findall(r"\bmake ([a-z-]+)([^\n`]*)", code):
        assert re.search(rf"^{target}:.*## ", MAKEFILE, re.MULTILINE), target
        for name in re.findall(r"\b([A-Z]+)=", arguments):
            assert f"$({name})" in MAKEFILE, name


@pytest.mark.parametrize("command", [one for one in local_commands() if not one.startswith("make ")])
def test_local_command_succeeds(command: str) -> None:
    program, *arguments = shlex.split(command)
    assert program == ".venv/bin/python"
    ran = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout


def test_local_make_commands_are_those_that_the_gate_runs() -> None:
    assert [one for one in local_commands() if one.startswith("make ")] == [
        "make stages NAME=dev",
        "make synth STAGE=dev",
    ]
    assert "--no-print-directory synth STAGE=" in MAKEFILE


def test_example_of_a_stage_is_loaded(tmp_path: Path) -> None:
    (example,) = (text for tag, text in blocks("deploy.md") if tag == "toml")
    file = tmp_path / "stages.toml"
    file.write_text(example)
    assert load(file)["lab"].region == "eu-west-1"


def test_table_of_kinds_has_the_values_of_the_kinds() -> None:
    rows = dict(re.findall(r"^\| ([^|]+) \| ([^|]+ \| [^|]+ \| [^|]+) \|$", PAGES["stages.md"], re.MULTILINE))
    found = {name.strip(): [cell.strip() for cell in cells.split("|")] for name, cells in rows.items()}
    kinds = list(STAGES.values())
    assert found["database"] == [
        f"{kind.instance_type}, {'two' if kind.multi_az else 'one'} zone{'s' * kind.multi_az}" for kind in kinds
    ]
    assert found["RDS Proxy"] == ["yes" if kind.proxy else "no" for kind in kinds]
    assert found["protected against deletion"] == ["yes" if kind.protected else "no" for kind in kinds]
    assert found["a month of the stage, for alarms (`budget_usd`)"] == [f"{kind.budget_usd:,} USD" for kind in kinds]
    assert found["a tenant's month (`default_cap_usd`)"] == [f"{kind.default_cap_usd} USD" for kind in kinds]
    assert found["turns of 14 seconds at the same time"] == [str(kind.turns_at_once) for kind in kinds]


def test_settings_of_the_table_exist() -> None:
    (table,) = re.findall(r"^\| you want \| set \|\n(.*?)\n\n", PAGES["stages.md"], re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"`([a-z_]+)`", table.replace("`names`", "").replace("`package`", "")))
    tables = set(re.findall(r"`\[stages\.NAME\.(\w+)\]`", table))
    known = {field.name for field in dataclasses.fields(Stage)}
    assert named | tables <= known
    assert len(named) > 20


@pytest.mark.parametrize("part", [ExistingVpc, Awake], ids=lambda part: part.__name__)
def test_keys_of_a_table_are_on_the_page(part: type[ExistingVpc | Awake]) -> None:
    assert [field.name for field in dataclasses.fields(part) if f"`{field.name}`" not in PAGES["stages.md"]] == []


def test_reserved_invocations_of_the_page_are_those_of_prod() -> None:
    reserved = sum(STAGES["prod"].reserved.values())
    assert f"prod reserves {reserved}" in PAGES["stages.md"]
    assert f"{reserved - STAGES['prod'].reserved['migrate']} use the database" in PAGES["stages.md"]
    assert STAGES["prod"].shared_connections == reserved - 1
