"""Tests that versions, schemas, commits, commands, settings and steps of docs/upgrading.md are true."""

import dataclasses
import re
import subprocess
from pathlib import Path

import pytest

from infra_cdk.entries import RELEASED
from infra_cdk.stages import Stage
from local import cli
from shared.db.schema.tables import MIGRATION_HEAD
from shared.names import VERSION, CliEnv, Env, LocalEnv
from tests.drill import checkout
from tests.support.templates.template import Template

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/upgrading.md").read_text()
MIGRATIONS = "migrations/versions"
MOST_WORDS = 900
# (version, schema, commit), the newest first.
RELEASES = re.findall(r"^\| (\d+\.\d+\.\d+) \| (\d{4}) \| ([\w ]+) \|$", PAGE, re.MULTILINE)
CODE = re.findall(r"`([^`]+)`", PAGE)


def git(*arguments: str) -> str:
    ran = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return ran.stdout if ran.returncode == 0 else ""


def test_newest_release_is_this_one() -> None:
    assert RELEASES[0] == (VERSION, MIGRATION_HEAD, "this one")


def test_release_before_had_the_schema_and_is_a_commit_that_the_drill_takes() -> None:
    for version, schema, commit in RELEASES[1:]:
        if not git("rev-parse", "--verify", "--quiet", commit):
            pytest.skip("the history is not in this clone")
        assert checkout.resolve(commit).startswith(commit)
        names = git("ls-tree", "--name-only", commit, f"{MIGRATIONS}/").splitlines()
        assert max(re.findall(rf"^{MIGRATIONS}/(\d{{4}})_", "\n".join(names), re.MULTILINE)) == schema
        assert git("merge-base", commit, "HEAD").startswith(commit)
        assert f"## {version} - " in (ROOT / "CHANGELOG.md").read_text()


def test_page_has_every_release_of_the_changelog() -> None:
    changelog = re.findall(r"^## (\S+) - ", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert [version for version, *_ in RELEASES] == changelog
    sections = re.findall(r"^## From (\S+)$", PAGE, re.MULTILINE)
    assert sections == [version for version, *_ in RELEASES[1:]]


def test_page_is_short_enough_to_be_read_before_a_deployment() -> None:
    # The bars of a table are no words.
    assert len([word for word in PAGE.split() if re.search(r"\w", word)]) <= MOST_WORDS


def test_command_of_the_page_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = {word for code in CODE for word in re.findall(r"^make ([a-z-]+)", code)}
    assert targets >= {"drill", "diff", "deploy", "smoke", "confirm"}
    assert [name for name in targets if not re.search(rf"^{name}:.*## ", makefile, re.MULTILINE)] == []
    parser = cli._parser()
    commands = {word for code in CODE for word in re.findall(r"^pantheon ([a-z]+)", code)}
    assert commands
    for command in commands:
        parser.parse_args([command])


def test_setting_of_the_page_exists() -> None:
    fields = {field.name for field in dataclasses.fields(Stage)}
    named = {
        match[1]
        for code in CODE
        if (
            match := re.fullmatch(
                r"([a-z]+(?:_[a-z]+)+|reserved|endpoints|dashboards|metrics|zones|canary)(?: = .*)?", code
            )
        )
    }
    # Names of the contract and of the database.
    others = {"max_output_tokens", "size_limit", "turn_abandoned", "budget_holds"}
    assert named - others <= fields
    assert len(named - others) >= 10
    variables = {word for code in CODE for word in re.findall(r"PANTHEON_\w+", code)}
    assert variables <= {*Env, *LocalEnv, *CliEnv}
    assert variables


def test_file_of_the_page_exists() -> None:
    linked = re.findall(r"\]\(([\w.-]+)(?:#[\w-]+)?\)", PAGE)
    assert linked
    assert [name for name in linked if not (ROOT / "docs" / name).exists()] == []


def test_steps_are_in_the_order_of_the_page() -> None:
    steps = re.findall(r"^\d\. \*\*(\w+)\.?\*\*", PAGE, re.MULTILINE)
    assert steps == ["Read", "Try", "Deploy", "Wait", "Check"]


def test_deployment_migrates_before_callers_reach_the_code(template: Template) -> None:
    """The page says so. An alias is what callers reach."""
    assert "migrates first" in PAGE
    (migration,) = [id_ for id_ in template.all("Custom::Trigger") if id_.startswith("Migration")]
    aliases = template.all("AWS::Lambda::Alias")
    released = {entry.title for entry in RELEASED}
    assert {id_ for id_, alias in aliases.items() if migration in alias.get("DependsOn", ())} == {
        id_ for id_ in aliases if id_.startswith(tuple(released))
    }


def test_old_url_is_answered_with_401_because_the_new_functions_refuse_its_events() -> None:
    """The drill sends each release the events of the other one's gateway."""
    assert "answer it with 401" in PAGE
    assert 'answer["statusCode"] != 401' in (ROOT / "tests/drill/drill.py").read_text()


def test_limit_of_the_page_is_the_one_of_the_code(stage: Stage) -> None:
    if stage.name == "prod":
        (taken,) = re.findall(r"`reserved` takes (\d+) of", PAGE)
        assert int(taken) == sum(stage.reserved.values())
    else:
        (usd,) = re.findall(rf"{stage.name} (?:now )?has (\d+)|{stage.name} (\d+)\.", PAGE)
        assert {part for part in usd if part} == {str(stage.default_cap_usd)}
