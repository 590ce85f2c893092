"""Tests how a catalog file is read, and the line for each mistake."""

import re
from decimal import Decimal
from pathlib import Path

import pytest

from shared.catalog import Dialect, Provider
from shared.catalog.file import read_catalog
from shared.errors import ConfigurationError

PROVIDERS = """
[providers.here]
kind = "openai_compatible"
base_url = "http://127.0.0.1:11434/v1"

[providers.aws]
kind = "bedrock"
region = "eu-central-1"
"""
ALIAS = """
[aliases.deep]
provider = "here"
model_id = "qwen3:8b"
context_window = 32_768
max_output_tokens = 2048
rates = { input = "0.25", output = "2.00", cache_read = 0.025, cache_write = 0 }
"""
WHOLE = PROVIDERS + ALIAS
SECRET = "sk-not-for-the-log"
# The mistake, made by replacing one text by another, and the line that names it.
MISTAKES = {
    'output = "2.00", ': ("", "[aliases.deep] rates.output is missing"),
    '"2.00"': ('"-2"', "[aliases.deep] rates.output must be a number of at least 0"),
    "0.025": ("-0.1", "[aliases.deep] rates.cache_read must be a number of at least 0"),
    "0 }": ("true }", "[aliases.deep] rates.cache_write must be a number of at least 0"),
    'provider = "here"': ('provider = "there"', "[aliases.deep] provider: there is no [providers.there]"),
    'model_id = "qwen3:8b"': ("", "[aliases.deep] model_id is missing"),
    "32_768": ('"32768"', "[aliases.deep] context_window must be a valid integer"),
    "= 2048": ("= 0", "[aliases.deep] max_output_tokens must be greater than or equal to 1"),
    "= 2048\n": ("= 40000\n", "[aliases.deep] max_output_tokens must be less than context_window"),
    "[aliases.deep]": ("[aliases.Deep]", "[aliases.Deep] a name is a small letter"),
    "[aliases.deep": ("[models.deep", "[models] is not a table of a catalog"),
    'kind = "bedrock"': ('kind = "oracle"', "[providers.aws] kind must be 'bedrock'"),
    'region = "eu-central-1"': (
        'base_url = "http://x"',
        "[providers.aws] base_url does not apply to the kind 'bedrock'",
    ),
    'base_url = "http://127.0.0.1:11434/v1"': ("", "[providers.here] base_url is missing"),
    "http://127": ("ftp://127", "[providers.here] base_url has a character or a form that is not allowed"),
    "rates = {": ("rates = 3 #", "[aliases.deep] rates must be a table"),
    "[providers.here]": (f'[providers.here]\napi_key = "{SECRET}"', "[providers.here] api_key must be env:VARIABLE"),
}
# A key of an alias, and what is wrong about its value.
WRONG = {
    "fallback_alias = 'deep'": "fallback_alias forms a cycle: deep -> deep",
    "fallback_alias = 'fast'": "fallback_alias: there is no [aliases.fast]",
    "max_call_s = 898": "max_call_s must be less than or equal to 897",
    "max_call_s = nan": "max_call_s must",
    "temperature = 'hot'": "temperature must",
    "json_schema = 'yes'": "json_schema must be a valid boolean",
    "max_tokens_parameter = 'tokens'": "max_tokens_parameter must be 'max_tokens' or 'max_completion_tokens'",
    "prompt_cache_key = 'x'": "prompt_cache_key must be a valid boolean",
    "cache_minimum = 0": "cache_minimum must be greater than or equal to 1",
    "cache_minimum = 1024": "cache_minimum does not apply to the kind 'openai_compatible'",
    "color = 'red'": "color is not a key of this table",
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "models.toml"


def fault_of(file: Path, text: str) -> str:
    file.write_text(text)
    with pytest.raises(ConfigurationError) as raised:
        read_catalog(file)
    told = str(raised.value)
    assert "\n" not in told
    return told


def test_a_catalog_mixes_providers_and_aliases(file: Path) -> None:
    second = ALIAS.replace("deep", "fast").replace('"here"', '"aws"').replace("qwen3:8b", "amazon.nova")
    file.write_text(WHOLE + second + 'fallback_alias = "deep"\n')
    read = read_catalog(file)
    assert list(read) == ["deep", "fast"]
    assert read.providers["here"] == Provider("here", "openai_compatible", "http://127.0.0.1:11434/v1")
    assert read.providers["aws"] == Provider("aws", "bedrock", region="eu-central-1")
    deep, fast = read["deep"], read["fast"]
    assert (deep.provider, deep.kind, deep.model_id, deep.max_call_s) == ("here", "openai_compatible", "qwen3:8b", 20.0)
    assert (fast.kind, fast.fallback_alias) == ("bedrock", "deep")
    rates = deep.rates
    assert (rates.input, rates.cache_read, rates.cache_write) == (Decimal("0.25"), Decimal("0.025"), Decimal(0))
    assert (rates.reasoning, rates.cache_write_1h) == (rates.output, None)
    assert read.behind("aws", "amazon.nova") == (fast,)
    assert read.behind("here", "amazon.nova") == ()


def test_alias_lists_the_parts_of_a_request_that_its_model_accepts(file: Path) -> None:
    file.write_text(WHOLE)
    assert read_catalog(file)["deep"].dialect == Dialect()
    said = "stream = false\nthinking = true\ntemperature = 1\nreasoning_effort = 'low'\njson_schema = false\n"
    file.write_text(WHOLE + said + "max_tokens_parameter = 'max_completion_tokens'\n")
    assert read_catalog(file)["deep"].dialect == Dialect(False, True, 1.0, "low", False, "max_completion_tokens")
    file.write_text(WHOLE + "temperature = false\nthinking = 'between_tools'\n")
    dialect = read_catalog(file)["deep"].dialect
    assert (dialect.temperature, dialect.thinking) == (False, "between_tools")
    file.write_text(WHOLE.replace('"here"', '"aws"') + "cache_minimum = 1_024\nprompt_cache_key = false\n")
    dialect = read_catalog(file)["deep"].dialect
    assert (dialect.cache_minimum, dialect.prompt_cache_key) == (1024, False)


@pytest.mark.parametrize("right", MISTAKES)
def test_a_mistake_is_one_line_that_names_file_table_and_key(file: Path, right: str) -> None:
    wrong, line = MISTAKES[right]
    assert right in WHOLE
    told = fault_of(file, WHOLE.replace(right, wrong))
    assert told.startswith(f"{file}: {line}")
    assert SECRET not in told


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_value_is_one_line_that_names_its_key(file: Path, line: str) -> None:
    assert fault_of(file, f"{WHOLE}{line}\n").startswith(f"{file}: [aliases.deep] {WRONG[line]}")


def test_circle_of_fallbacks_is_refused_by_its_aliases(file: Path) -> None:
    other = ALIAS.replace("deep", "fast")
    told = fault_of(file, f"{WHOLE}fallback_alias = 'fast'\n{other}fallback_alias = 'deep'\n")
    assert told == f"{file}: [aliases.deep] fallback_alias forms a cycle: deep -> fast -> deep"


@pytest.mark.parametrize("text", ["", PROVIDERS, "aliases = 3", "providers = ", "[providers.here]\n[providers.here]"])
def test_a_file_without_a_catalog_in_it_is_refused(file: Path, text: str) -> None:
    assert fault_of(file, text).startswith(f"{file}: ")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.toml: No such file or directory\."):
        read_catalog(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"# gr\xfc\xdfe\n")
    with pytest.raises(ConfigurationError, match=r"latin\.toml: is not UTF-8\."):
        read_catalog(tmp_path / "latin.toml")


def test_example_in_the_docs_is_a_valid_catalog(file: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    file.write_text(example)
    read = read_catalog(file)
    assert {model.provider for model in read.values()} == set(read.providers)
    assert {provider.kind for provider in read.providers.values()} == {"openai_compatible", "bedrock"}
