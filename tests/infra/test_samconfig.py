"""samconfig.toml has options that SAM CLI knows, and the names of each stage's template."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from infra_cdk.stages import STAGES, Stage
from tests.support.templates.template import Template, text

ROOT = Path(__file__).parents[2]
CONFIG = tomllib.loads((ROOT / "samconfig.toml").read_text())
# The options of SAM CLI 1.170 that samconfig.toml uses, by command.
OPTIONS = {
    "global": {"stack_name", "region"},
    "validate": {"template_file", "lint"},
    "local_invoke": {"template_file", "event", "env_vars"},
    "logs": {"cw_log_group", "tail"},
}
# `sam remote invoke` takes the stack from `global`. It refuses --event beside --event-file, wherever each is set: so
# neither is set here, and either can be typed.


def parameters(stage: Stage, command: str) -> dict[str, Any]:
    found: dict[str, Any] = CONFIG[stage.name][command]["parameters"]
    return found


def test_every_stage_has_the_same_commands() -> None:
    assert CONFIG.pop("version", 0.1) == 0.1
    assert {name: set(uses) for name, uses in CONFIG.items()} == {name: set(OPTIONS) for name in STAGES}


def test_file_has_only_options_that_sam_knows(stage: Stage) -> None:
    assert {command: set(parameters(stage, command)) for command in OPTIONS} == OPTIONS


def test_file_names_the_stack_its_region_and_its_template(stage: Stage) -> None:
    assert parameters(stage, "global") == {"stack_name": f"pantheon-{stage.name}", "region": stage.region}
    for command in ("validate", "local_invoke"):
        assert parameters(stage, command)["template_file"] == f"cdk.out/pantheon-{stage.name}.template.json"


def test_file_names_the_logs_of_all_functions(stage: Stage, template: Template) -> None:
    groups = {
        text(group["LogGroupName"])
        for group in template.resources("AWS::Logs::LogGroup").values()
        if "/aws/lambda/" in text(group.get("LogGroupName", ""))
    }
    assert set(parameters(stage, "logs")["cw_log_group"]) == groups


def test_event_of_a_local_invocation_exists(stage: Stage) -> None:
    json.loads((ROOT / parameters(stage, "local_invoke")["event"]).read_text())


def test_local_variables_are_read_by_a_function(stage: Stage, template: Template) -> None:
    """SAM CLI drops variables that the template does not have."""
    given = json.loads((ROOT / parameters(stage, "local_invoke")["env_vars"]).read_text())["Parameters"]
    told = {name for function in template.functions().values() for name in function["Environment"]["Variables"]}
    assert set(given) <= told


@pytest.mark.parametrize("name", ["Api", "Turns", "Authorizer", "Jwks", "Worker", "Migrate"])
def test_a_function_is_called_by_its_name(template: Template, name: str) -> None:
    assert f"{name}Function" in template.all("AWS::Lambda::Function")
