"""Tests that a roster file is read as the API reads it, and that each mistake is one line."""

from pathlib import Path

import pytest

from shared.catalog import build
from shared.errors import ConfigurationError
from shared.roster.file import read_roster, read_template
from shared.settings import Settings

CATALOG = build(Settings.model_construct(llm_provider="scripted"))
OPENAI = build(Settings.model_construct(llm_provider="openai"))
WRITER = '[agents.writer]\nname = "Writer"\nrole_prompt = "You write."\nmodel_alias = "fast"\n'
CRITIC = WRITER.replace("writer", "critic")
PANEL = '[councils.panel]\nname = "Panel"\nmode = "council"\nagent_keys = ["critic", "writer"]\n'
WHOLE = (
    PANEL
    + 'fan_out = "parallel"\nchair_key = "writer"\n'
    + WRITER
    + "max_output_tokens = 9\ntemperature = 1\n"
    + CRITIC
)


def write(folder: Path, text: str) -> Path:
    file = folder / "roster.toml"
    file.write_text(text, "utf-8")
    return file


def test_a_roster_is_read_with_all_fields_and_their_defaults(tmp_path: Path) -> None:
    roster = read_roster(write(tmp_path, "\ufeff" + WHOLE), CATALOG)
    assert {key: body.model_dump() for key, body in roster.agents.items()} == {
        "writer": {
            **{"name": "Writer", "role_prompt": "You write.", "model_alias": "fast"},
            **{"max_output_tokens": 9, "temperature": 1.0, "enabled": True},
        },
        "critic": {
            **{"name": "Writer", "role_prompt": "You write.", "model_alias": "fast"},
            **{"max_output_tokens": None, "temperature": None, "enabled": True},
        },
    }
    assert {key: body.model_dump() for key, body in roster.councils.items()} == {
        "panel": {
            **{"name": "Panel", "mode": "council", "agent_keys": ["critic", "writer"]},
            **{"fan_out": "parallel", "chair_key": "writer"},
        }
    }


@pytest.mark.parametrize("text", ["", "# Later.\n", "[agents]\n", "[agents]\n[councils]\n"])
def test_an_empty_file_is_an_empty_roster(text: str, tmp_path: Path) -> None:
    roster = read_roster(write(tmp_path, text), CATALOG)
    assert (roster.agents, roster.councils) == ({}, {})


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[agents.writer", "Expected ']'"),
        ("n = " + "9" * 5000, "Exceeds the limit"),
        ("n = " + "[" * 9000, ""),
        ("name = 1", "[name] is not a table of a roster; use [agents.KEY] or [councils.KEY]"),
        ("[agent.writer]\n", "[agent] is not a table of a roster"),
        ("agents = 1", "[agents] must hold tables [agents.KEY]"),
        ("[[councils]]", "[councils] must hold tables [councils.KEY]"),
        ("[agents]\nwriter = 1", "[agents.writer] must be a table"),
        (WRITER.replace("agents.writer", "agents.Writer"), "[agents.Writer] key: a key is a small letter"),
        (WRITER.replace("agents.writer", 'agents."a\\nb"'), "[agents.a\\nb] key: a key is a small letter"),
        (WRITER.replace('name = "Writer"\n', ""), "[agents.writer] name: is missing"),
        (WRITER + "cap = 1\n", "[agents.writer] cap: is not a field of this table"),
        (WRITER + 'key = "writer"\n', "[agents.writer] key: is not a field of this table"),
        (WRITER + "version = 1\n", "[agents.writer] version: is not a field of this table"),
        (WRITER + '"a\\nb" = 1\n', "[agents.writer] ?: is not a field of this table"),
        (WRITER.replace('"Writer"', '"a@b"'), "[agents.writer] name: has a character or a form that is not allowed"),
        (WRITER.replace('"Writer"', '" "'), "[agents.writer] name: must hold more than blanks"),
        (WRITER.replace("You write.", "x" * 32_769), "[agents.writer] role_prompt: Value should have at most 32768"),
        (WRITER + "enabled = 1\n", "[agents.writer] enabled: must be a valid boolean"),
        (WRITER + "temperature = 2.1\n", "[agents.writer] temperature: must be less than or equal to 2"),
        (WRITER + "temperature = nan\n", "[agents.writer] temperature: must be"),
        (WRITER + "max_output_tokens = 1.0\n", "[agents.writer] max_output_tokens: must be a valid integer"),
        (WRITER + "max_output_tokens = 999999\n", "[agents.writer] max_output_tokens: must be at most"),
        (WRITER.replace('"fast"', '"huge"'), "[agents.writer] model_alias: must be one of: fast, deep"),
        (PANEL, "[councils.panel] agent_keys: there is no [agents.critic]"),
        (PANEL + WRITER, "[councils.panel] agent_keys: there is no [agents.critic]"),
        (WHOLE.replace('"council"', '"debate"'), "[councils.panel] mode: must be 'manual', 'tag'"),
        (WHOLE.replace('chair_key = "writer"', 'chair_key = "nobody"'), "[councils.panel] chair_key: must be one of"),
        (WHOLE.replace('["critic", "writer"]', "[]"), "[councils.panel] agent_keys: List should have at least 1 item"),
        (WHOLE.replace('["critic", "writer"]', '["writer", "writer"]'), "[councils.panel] agent_keys: An agent can be"),
        (WHOLE.replace('["critic", "writer"]', '["writer", 1]'), "[councils.panel] agent_keys.1: must be a valid str"),
        (WHOLE.replace("councils.panel", "councils.writer"), "[councils.writer] key: an agent has it"),
    ],
    ids=lambda value: value[:40],
)
def test_a_mistake_is_one_line_that_names_file_table_and_field(text: str, fault: str, tmp_path: Path) -> None:
    file = write(tmp_path, text)
    with pytest.raises(ConfigurationError) as refused:
        read_roster(file, CATALOG)
    assert refused.value.detail.startswith(f"{file}: {fault}")
    assert "\n" not in refused.value.detail


def test_a_temperature_is_refused_if_the_model_takes_none(tmp_path: Path) -> None:
    file = write(tmp_path, WRITER + "temperature = 0.5\n")
    with pytest.raises(ConfigurationError, match="temperature: must be null: the alias 'fast' takes none"):
        read_roster(file, OPENAI)


def test_a_file_that_cannot_be_read_is_named_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=r"^PANTHEON_ROSTER: /.*/none\.toml: No such file"):
        read_template(str(tmp_path / "none.toml"), CATALOG)
    file = tmp_path / "roster.toml"
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match=r"roster\.toml: is not UTF-8"):
        read_template(str(file), CATALOG)
    write(tmp_path, WRITER)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert list(read_template("~/roster.toml", CATALOG).agents) == ["writer"]
