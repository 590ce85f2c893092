"""Tests how the local run reads its variables."""

import re
from pathlib import Path

import pytest

from local import environment
from local.gateway.tokens import ClaimNames
from shared.errors import ConfigurationError


def test_empty_environment_means_the_local_model_and_port_8000() -> None:
    read = environment.read({})
    assert (read.port, read.data_dir, read.database_url) == (8000, Path(".pantheon"), None)
    assert read.needs_model
    assert read.functions["PANTHEON_LLM_PROVIDER"] == "local"


def test_empty_variable_counts_as_unset() -> None:
    names = (
        *("PORT", "DATA_DIR", "DATABASE_URL", "LLM_PROVIDER", "LLM_BASE_URL", "TURN_SECONDS", "MAX_CALL_S"),
        "HOSTS",
        *("TENANT_CLAIM", "ROLES_CLAIM", "OPERATOR_ROLE", "TENANT_OF_ONE", "CORS_ORIGINS"),
    )
    assert environment.read({f"PANTHEON_{name}": "" for name in names}) == environment.read({})


@pytest.mark.parametrize(
    ("given", "provider", "needs_model"),
    [
        ({"PANTHEON_LLM_BASE_URL": "http://127.0.0.1:1/v1"}, "openai", False),
        ({"PANTHEON_LLM_BASE_URL": "http://127.0.0.1:1/v1", "PANTHEON_LLM_PROVIDER": "local"}, "local", False),
        ({"PANTHEON_LLM_PROVIDER": "local"}, "local", True),
        ({"PANTHEON_LLM_PROVIDER": "openai"}, "openai", False),
        ({"PANTHEON_LLM_PROVIDER": "scripted"}, "scripted", False),
    ],
    ids=str,
)
def test_provider_is_chosen_by_the_variables_that_are_set(
    given: dict[str, str], provider: str, needs_model: bool
) -> None:
    read = environment.read(given)
    assert (read.functions["PANTHEON_LLM_PROVIDER"], read.needs_model) == (provider, needs_model)


def test_functions_do_not_get_the_owners_database() -> None:
    url = "postgresql://owner:secret@127.0.0.1/pantheon"
    read = environment.read({"PANTHEON_DATABASE_URL": url, "HTTPS_PROXY": "http://proxy", "EMPTY": ""})
    assert read.database_url == url
    assert url not in read.functions.values()
    assert (read.functions["HTTPS_PROXY"], read.functions["EMPTY"]) == ("http://proxy", "")


def test_the_authorizer_expects_the_tokens_of_the_local_issuer(tmp_path: Path) -> None:
    others = dict.fromkeys(("PANTHEON_JWT_ISSUER", "PANTHEON_JWT_AUDIENCE", "PANTHEON_JWKS_URL"), "other")
    read = environment.read(others | {"PANTHEON_DATA_DIR": str(tmp_path / "data dir")})
    assert read.authorizer == {
        "PANTHEON_JWT_ISSUER": "https://pantheon.localhost",
        "PANTHEON_JWT_AUDIENCE": "pantheon-local",
        "PANTHEON_JWKS_URL": f"file://{tmp_path}/data%20dir/jwks.json",
    }
    assert "other" not in read.functions.values()


def test_keys_have_an_absolute_address_when_the_data_directory_is_relative() -> None:
    assert environment.read({}).authorizer["PANTHEON_JWKS_URL"] == (Path.cwd() / ".pantheon" / "jwks.json").as_uri()


def test_only_the_authorizer_gets_the_settings_of_tokens() -> None:
    given = {"PANTHEON_TENANT_CLAIM": "org", "PANTHEON_ROLES_CLAIM": "groups", "PANTHEON_TENANT_OF_ONE": "true"}
    read = environment.read(given)
    assert read.authorizer.items() >= given.items()
    assert not read.authorizer.keys() & read.functions.keys()
    assert read.claim_names == environment.claim_names(given) == ClaimNames("org", "groups")


def test_the_role_of_operators_is_a_setting() -> None:
    assert environment.read({}).functions["PANTHEON_OPERATOR_ROLE"] == environment.operator_role({}) == "operator"
    given = {"PANTHEON_OPERATOR_ROLE": "crane"}
    assert environment.read(given).functions["PANTHEON_OPERATOR_ROLE"] == environment.operator_role(given) == "crane"


def test_pages_of_this_machine_may_read_answers_unless_others_are_listed() -> None:
    read = environment.read({})
    assert re.fullmatch(read.origins or "", "http://localhost:5173")
    assert read.functions["PANTHEON_CORS_ORIGINS"] == "http://localhost:*,http://127.0.0.1:*"
    assert environment.read({"PANTHEON_CORS_ORIGINS": "https://chat.example"}).origins == r"https://chat\.example"


def test_hosts_are_read_as_a_list() -> None:
    assert environment.read({}).hosts == ()
    assert environment.read({"PANTHEON_HOSTS": "pantheon.example, 10.0.0.7"}).hosts == ("pantheon.example", "10.0.0.7")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PANTHEON_PORT", "http"),
        ("PANTHEON_PORT", "65536"),
        ("PANTHEON_PORT", "-1"),
        ("PANTHEON_PORT", " 8000"),
        ("PANTHEON_PORT", "８０００"),
        ("PANTHEON_PORT", "9" * 5000),
        ("PANTHEON_TURN_SECONDS", "soon"),
        ("PANTHEON_TURN_SECONDS", "0"),
        ("PANTHEON_TURN_SECONDS", "nan"),
        ("PANTHEON_MAX_CALL_S", "-1"),
        ("PANTHEON_TENANT_OF_ONE", "perhaps"),
        ("PANTHEON_CORS_ORIGINS", "*"),
        ("PANTHEON_HOSTS", "*"),
        ("PANTHEON_HOSTS", "pantheon.example:8000"),
        ("PANTHEON_HOSTS", "https://pantheon.example"),
        ("PANTHEON_LLM_PROVIDER", "oracle"),
        ("PANTHEON_LLM_BASE_URL", "127.0.0.1:11434/v1"),
    ],
)
def test_bad_value_is_refused_in_one_line_with_its_variable(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name}: ") as raised:
        environment.read({name: value})
    assert "\n" not in str(raised.value)
