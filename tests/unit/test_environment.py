from pathlib import Path

import pytest

from local import environment
from shared.errors import ConfigurationError


def test_nothing_set_is_the_local_model_on_port_8000() -> None:
    read = environment.read({})
    assert (read.port, read.data_dir, read.database_url) == (8000, Path(".pantheon"), None)
    assert (read.turn_seconds, read.needs_model) == (25.0, True)
    assert read.functions["PANTHEON_LLM_PROVIDER"] == "local"


def test_a_variable_that_is_set_to_nothing_is_not_set() -> None:
    names = ("PORT", "DATA_DIR", "DATABASE_URL", "LLM_PROVIDER", "LLM_BASE_URL", "TURN_SECONDS", "MAX_CALL_S")
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
def test_the_provider_follows_from_what_is_given(given: dict[str, str], provider: str, needs_model: bool) -> None:
    read = environment.read(given)
    assert (read.functions["PANTHEON_LLM_PROVIDER"], read.needs_model) == (provider, needs_model)


def test_functions_keep_the_users_environment_but_never_see_the_owners_database() -> None:
    url = "postgresql://owner:secret@127.0.0.1/pantheon"
    read = environment.read({"PANTHEON_DATABASE_URL": url, "HTTPS_PROXY": "http://proxy", "EMPTY": ""})
    assert read.database_url == url
    assert url not in read.functions.values()
    assert (read.functions["HTTPS_PROXY"], read.functions["EMPTY"]) == ("http://proxy", "")


def test_the_functions_expect_the_tokens_that_the_gateway_accepts() -> None:
    read = environment.read({"PANTHEON_JWT_ISSUER": "other", "PANTHEON_TENANT_CLAIM": "other"})
    assert "other" not in read.functions.values()


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
        ("PANTHEON_LLM_PROVIDER", "oracle"),
        ("PANTHEON_LLM_BASE_URL", "127.0.0.1:11434/v1"),
    ],
)
def test_a_bad_value_is_told_with_the_name_of_its_variable_in_one_line(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name}: ") as raised:
        environment.read({name: value})
    assert "\n" not in str(raised.value)
