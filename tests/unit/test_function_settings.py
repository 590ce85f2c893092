"""Tests which variables of the user's environment a local function gets."""

from dataclasses import replace

import pytest

from local.function_settings import ASKS, READS, TO_ASK, told, variables
from shared.catalog import Catalog, build
from shared.names import Env, LocalEnv
from shared.settings import CatalogSettings

PROCESS = {
    "PATH": "/bin",
    "HOME": "/home/ada",
    "LANG": "de_DE.UTF-8",
    "LC_TIME": "C",
    "TZ": "UTC",
    "PYTHONPATH": "/src",
}
NETWORK = {"HTTPS_PROXY": "http://me:word@proxy", "no_proxy": "localhost", "SSL_CERT_FILE": "/ca.pem"}
AWS = {"AWS_PROFILE": "mine", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "word", "AWS_REGION": "eu-central-1"}
CANARIES = {
    "CANARY": "x",
    "GITHUB_TOKEN": "x",
    "PGPASSWORD": "x",
    "PANTHEON_TOKEN": "x",
    "LD_PRELOAD": "x",
    "XPATH": "x",
}
OURS = {name.value: "x" for name in (*Env, *LocalEnv)}
EVERYTHING = {**PROCESS, **NETWORK, **AWS, **CANARIES, **OURS}


def catalog(provider: str) -> Catalog:
    return build(CatalogSettings.model_validate({Env.LLM_PROVIDER: provider, Env.LLM_API_KEY: "x"}))


OPENAI = catalog("openai")
EVERY_FUNCTION = pytest.mark.parametrize("function", READS)


@EVERY_FUNCTION
def test_function_gets_its_settings_and_the_variables_of_a_process(function: str) -> None:
    network = NETWORK if function in ASKS else {}
    assert set(told(function, EVERYTHING, OPENAI)) == {*PROCESS, *network, *variables(function)}


@EVERY_FUNCTION
def test_function_does_not_get_a_database_from_the_users_environment(function: str) -> None:
    assert not [name for name in told(function, EVERYTHING, OPENAI) if "DATABASE_URL" in name]


@EVERY_FUNCTION
def test_only_functions_that_ask_models_get_the_providers_key(function: str) -> None:
    assert (set(told(function, EVERYTHING, OPENAI)) >= TO_ASK) is (function in ASKS)
    assert (TO_ASK & set(told(function, EVERYTHING, OPENAI)) != set()) is (function in ASKS)


@EVERY_FUNCTION
@pytest.mark.parametrize("provider", ["bedrock", "openai"])
def test_only_functions_that_ask_bedrock_get_the_variables_of_aws(function: str, provider: str) -> None:
    of_aws = {name for name in told(function, EVERYTHING, catalog(provider)) if name.startswith("AWS_")}
    assert of_aws == (set(AWS) if provider == "bedrock" and function in ASKS else set())


@EVERY_FUNCTION
def test_only_functions_that_ask_models_get_a_key_that_the_catalog_names(function: str) -> None:
    named = replace(OPENAI, providers={"openai": replace(OPENAI.providers["openai"], api_key="env:CANARY")})
    assert ("CANARY" in told(function, EVERYTHING, named)) is (function in ASKS)
    assert "GITHUB_TOKEN" not in told(function, EVERYTHING, named)
