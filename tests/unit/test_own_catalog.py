"""Tests the mistakes in a user's first catalog file, and the line that says how to fix each."""

from pathlib import Path

import pytest

from local import environment, models
from shared.errors import ConfigurationError
from shared.names import Env

pytest_plugins = ["tests.support.fake_bedrock.fixtures"]

KEY = "sk-not-for-the-log"
CATALOG = """
[providers.here]
kind = "openai_compatible"
base_url = "http://127.0.0.1:11434/v1"
api_key = "env:HERE_KEY"

[aliases.fast]
provider = "here"
model_id = "qwen3:8b"
context_window = 32_768
max_output_tokens = 2048
rates = { input = 0, output = 0, cache_read = 0, cache_write = 0 }
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "models.toml"
    file.write_text(CATALOG)
    return file


def read(file: Path | str, **variables: str) -> environment.Environment:
    return environment.read({Env.CATALOG.value: str(file), "HERE_KEY": KEY, **variables})


def fault_of(file: Path | str, **variables: str) -> str:
    with pytest.raises(ConfigurationError) as raised:
        read(file, **variables)
    return str(raised.value)


@pytest.mark.parametrize("written", [CATALOG.encode("utf-8-sig"), CATALOG.replace("\n", "\r\n").encode()])
def test_a_file_of_an_editor_on_windows_is_read(file: Path, written: bytes) -> None:
    file.write_bytes(written)
    assert list(read(file).catalog) == ["fast"]


def test_a_file_in_the_home_folder_is_found_when_the_shell_leaves_the_tilde(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(file.parent))
    assert list(read("~/models.toml").catalog) == ["fast"]


@pytest.mark.parametrize(
    ("name", "why"), [("no.toml", "No such file or directory"), (".", "Is a directory"), (" ", "No such file")]
)
def test_a_file_that_cannot_be_read_is_named_with_its_folder_and_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert fault_of(name).startswith(f"PANTHEON_CATALOG: {Path(name).absolute()}: {why}")


def test_missing_alias_is_reported_with_the_existing_ones(file: Path) -> None:
    file.write_text(CATALOG.replace("fast", "home") + CATALOG[CATALOG.index("[aliases") :].replace("fast", "lab"))
    expected = "PANTHEON_ROUTING_ALIAS: there is no alias 'fast' in the catalog; there are home, lab."
    assert fault_of(file) == expected
    chosen = {Env.ROUTING_ALIAS.value: "home", Env.SUMMARY_ALIAS.value: "lab"}
    assert list(read(file, **chosen).catalog) == ["home", "lab"]


def test_empty_key_is_reported_as_an_unset_variable(file: Path) -> None:
    assert fault_of(file, HERE_KEY="") == "[providers.here] api_key: the variable HERE_KEY is not set."


def test_key_of_a_run_without_a_catalog_is_used_when_the_catalog_names_it(file: Path) -> None:
    variables = {Env.LLM_API_KEY.value: KEY, Env.LLM_PROVIDER.value: "openai"}
    assert read(file, **variables).ignored == (Env.LLM_PROVIDER, Env.LLM_API_KEY)
    file.write_text(CATALOG.replace("HERE_KEY", Env.LLM_API_KEY))
    told = read(file, **variables)
    assert told.ignored == (Env.LLM_PROVIDER,)
    assert told.functions[Env.LLM_API_KEY] == KEY


@pytest.mark.parametrize(
    ("end", "warning"),
    [
        ("/v1", []),
        ("/v1/", []),
        ("", ["Warning: [providers.here] base_url has no /v1, which most servers want. Aliases: fast."]),
        (
            "/v1/chat/completions",
            [
                "Warning: [providers.here] base_url must end before /chat/completions, which every request adds. "
                "Aliases: fast."
            ],
        ),
    ],
)
def test_an_address_with_a_wrong_end_is_a_warning(file: Path, end: str, warning: list[str]) -> None:
    file.write_text(CATALOG.replace("11434/v1", f"11434{end}"))
    assert list(models.warnings(read(file))) == warning


def test_a_region_is_missing_only_when_neither_the_file_nor_a_variable_names_it(
    file: Path, aws_environment: pytest.MonkeyPatch
) -> None:
    file.write_text('[providers.here]\nkind = "bedrock"\n' + CATALOG[CATALOG.index("[aliases") :])
    aws_environment.delenv("AWS_DEFAULT_REGION")
    (warning,) = models.warnings(read(file))
    assert "there is no AWS Region: set region in the catalog, or AWS_REGION." in warning
    aws_environment.setenv("AWS_REGION", "eu-central-1")
    assert list(models.warnings(read(file))) == []
