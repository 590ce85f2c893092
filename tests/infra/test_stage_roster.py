"""Tests that functions get the roster of new tenants, and that a file with a mistake makes no stage."""

from dataclasses import replace
from pathlib import Path

import pytest

from infra_cdk import stage_catalog
from infra_cdk.stage_catalog import DEPLOYED_ROSTER
from infra_cdk.stages import STAGES
from shared.errors import ConfigurationError
from shared.names import Env
from tests.support.templates.assembly import synthesised
from tests.support.templates.catalogs import with_roster

ROSTER = '[agents.writer]\nname = "Writer"\nrole_prompt = "You write."\nmodel_alias = "fast"\n'


def test_api_and_turns_find_the_file_in_the_layer_of_the_catalog(tmp_path: Path) -> None:
    template = synthesised(with_roster(ROSTER, tmp_path), tmp_path)
    told = {name: one["Environment"]["Variables"].get(Env.ROSTER) for name, one in template.functions().items()}
    assert {name: file for name, file in told.items() if file} == dict.fromkeys(("api", "turns"), DEPLOYED_ROSTER)
    ((layer, body),) = [
        (id_, one) for id_, one in template.all("AWS::Lambda::LayerVersion").items() if id_.startswith("Catalog")
    ]
    assert all(layer in str(template.functions()[name]["Layers"]) for name in ("api", "turns"))
    files = {file.name: file for file in (tmp_path / "out" / body["Metadata"]["aws:asset:path"]).iterdir()}
    assert (set(files), files["roster.toml"].read_text()) == ({"catalog.toml", "roster.toml"}, ROSTER)
    assert DEPLOYED_ROSTER == "/opt/roster.toml"


def test_functions_get_no_roster_when_the_stage_has_none(tmp_path: Path) -> None:
    template = synthesised(replace(with_roster(ROSTER, tmp_path), roster=None), tmp_path)
    assert not [one for one in template.functions().values() if Env.ROSTER in one["Environment"]["Variables"]]
    assert {stage.roster for stage in STAGES.values()} == {None}


def test_roster_with_a_mistake_is_refused_in_one_line(tmp_path: Path) -> None:
    stage = with_roster(ROSTER.replace("fast", "deep"), tmp_path)
    with pytest.raises(ConfigurationError) as refused:
        stage_catalog.read(stage)
    assert refused.value.detail.startswith(f"{stage.roster}: [agents.writer] model_alias: must be one of: fast")
    with pytest.raises(ConfigurationError, match=r"none\.toml: No such file"):
        stage_catalog.read(replace(stage, roster="none.toml"))
