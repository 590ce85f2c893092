"""cdk-nag's findings: every reason is used, and a finding without one stops the synthesis."""

import re
from pathlib import Path

import cdk_nag
import pytest
from aws_cdk import Validations

from infra_cdk import app, nag
from infra_cdk.assets import Assets
from infra_cdk.stages import DEV
from tests.infra.assembly import Assembly


def test_every_reason_names_something_that_is_there(assembly: Assembly) -> None:
    assert [reason.rule for reason, paths in assembly.accepted.items() if not paths] == []


def test_a_finding_without_a_reason_stops_the_synthesis(tmp_path: Path) -> None:
    taken, *others = nag.REASONS
    made = app.build(tmp_path / "out", [DEV], Assets.empty(tmp_path / "build"))
    nag.accept(made, others)
    Validations.of(made).add_plugins(cdk_nag.AwsSolutionsChecks(made))
    with pytest.raises(RuntimeError, match=re.escape(taken.rule)):
        made.synth()
