"""Defines the fixture of each stage's template."""

import pytest

from infra_cdk.stages import STAGES, Stage
from tests.support.templates.assembly import Assembly, assembled
from tests.support.templates.template import Template

ACCOUNT = "account"


@pytest.fixture(scope="session")
def assembly() -> Assembly:
    return assembled()


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
