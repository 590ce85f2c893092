"""Tests that a variable of Pantheon's prefix that no code reads is refused."""

from pathlib import Path

import pytest

from local import environment as local_environment
from shared import variables
from shared.errors import ConfigurationError
from shared.names import CliEnv, DeployEnv, Env, LocalEnv
from shared.settings import settings


def test_known_variables_and_those_of_others_are_accepted() -> None:
    variables.check({name: "x" for names in (Env, LocalEnv, CliEnv, DeployEnv) for name in names} | {"PATH": "/bin"})


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("PANTHEON_PROT", "Did you mean PANTHEON_PORT?"),
        ("PANTHEON_TURNSECONDS", "Did you mean PANTHEON_TURN_SECONDS?"),
        ("PANTHEON_XYZZY", "Remove it."),
    ],
)
def test_unknown_variable_is_refused_with_the_nearest_name(name: str, advice: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        variables.check({name: "s3cret"})
    assert str(raised.value) == f"{name} is not a variable of Pantheon. {advice}"


def test_unknown_variable_without_a_value_is_ignored() -> None:
    variables.check({"PANTHEON_PROT": ""})


def test_variable_that_the_catalog_names_is_accepted(tmp_path: Path) -> None:
    catalog = tmp_path / "models.toml"
    catalog.write_text('api_key = "env:PANTHEON_KEY_OF_MINE"\n')
    environ = {"PANTHEON_KEY_OF_MINE": "s3cret", "PANTHEON_CATALOG": str(catalog)}
    variables.check(environ)
    with pytest.raises(ConfigurationError, match="PANTHEON_KEY_OF_MIN "):
        variables.check({**environ, "PANTHEON_KEY_OF_MIN": "x"})


def test_function_refuses_an_unknown_variable_when_it_reads_its_settings(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("PANTHEON_TURN_SECOND", "5")
    with pytest.raises(ConfigurationError, match="Did you mean PANTHEON_TURN_SECONDS"):
        settings()


def test_local_run_refuses_an_unknown_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Did you mean PANTHEON_DATA_DIR"):
        local_environment.read({"PANTHEON_DATADIR": str(tmp_path)})
