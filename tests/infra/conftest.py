"""Every stage's template, written once a run. What would be in the layers makes no difference to a template."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from infra_cdk import app, nag
from infra_cdk.assets import Assets
from infra_cdk.nag import Reason
from infra_cdk.stages import STAGES, Stage
from tests.infra.template import Template

ACCOUNT = "account"


class Assembly:
    """What synthesising wrote: a template for each stage and `account`, and what each accepted finding was for."""

    def __init__(self, folder: Path) -> None:
        made = app.build(folder / "out", STAGES.values(), Assets.empty(folder / "build"))
        self.accepted: Mapping[Reason, list[str]] = nag.check(made)
        made.synth()
        read = {path.name.split(".")[0]: path for path in sorted((folder / "out").glob("*.template.json"))}
        self.paths = list(read.values())
        self.templates = {name.split("-")[1]: Template(json.loads(path.read_text())) for name, path in read.items()}


@pytest.fixture(scope="session")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """Synthesising fails, and every test with it, where cdk-nag finds what nobody has given a reason for."""
    return Assembly(tmp_path_factory.mktemp("cdk"))


@pytest.fixture(params=STAGES.values(), ids=lambda stage: stage.name)
def stage(request: pytest.FixtureRequest) -> Stage:
    found: Stage = request.param
    return found


@pytest.fixture
def template(assembly: Assembly, stage: Stage) -> Template:
    return assembly.templates[stage.name]


@pytest.fixture
def account(assembly: Assembly) -> Template:
    return assembly.templates[ACCOUNT]
