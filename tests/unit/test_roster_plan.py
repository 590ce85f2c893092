"""Tests the plan that a roster file makes for a stage, and the line for each fault."""

from pathlib import Path
from typing import Any

import pytest

from local.roster.entries import Place, Plan, RosterError, Stage, Stored
from local.roster.file import read_fields
from local.roster.plan import make_plan
from tests.support.rosters import agent, council, roster_file

WRITER, CRITIC, BOARD = Place("agents", "writer"), Place("agents", "critic"), Place("councils", "board")
NEW_AGENT = 'name = "N"\nrole_prompt = "P"\nmodel_alias = "fast"\n'


def stage(**entries: Any) -> Stage:
    places = {Place(*path.split("__")): Stored(fields, 3) for path, fields in entries.items()}
    return Stage(places, {"fast": 4096, "deep": 8192})


def plan(folder: Path, text: str, there: Stage) -> Plan:
    path = roster_file(folder, text)
    return make_plan(path, read_fields(path), there)


def faults(folder: Path, text: str, there: Stage | None = None) -> list[str]:
    """The lines of the refusal, without the file's path before each."""
    with pytest.raises(RosterError) as raised:
        plan(folder, text, there or stage())
    prefix = f"{folder / 'roster.toml'}: "
    assert all(line.startswith(prefix) for line in raised.value.lines)
    return [line.removeprefix(prefix) for line in raised.value.lines]


def test_new_agent_gets_the_defaults_of_the_api(tmp_path: Path) -> None:
    (change,) = plan(tmp_path, f"[agents.writer]\n{NEW_AGENT}", stage()).changes
    assert (change.place, change.old) == (WRITER, None)
    assert change.new == agent(name="N", role_prompt="P")


def test_a_field_that_the_file_leaves_out_keeps_its_value(tmp_path: Path) -> None:
    there = stage(agents__writer=agent(temperature=0.5, max_output_tokens=7, enabled=False))
    (change,) = plan(tmp_path, '[agents.writer]\nname = "Author"\n', there).changes
    assert change.new == agent(name="Author", temperature=0.5, max_output_tokens=7, enabled=False)
    assert change.changed == ["name"]


def test_an_entry_that_the_file_leaves_out_is_not_written(tmp_path: Path) -> None:
    there = stage(agents__writer=agent(), agents__critic=agent(name="Critic"))
    made = plan(tmp_path, '[agents.writer]\nname = "Writer"\n', there)
    assert (made.changes, made.unchanged) == ((), 1)


@pytest.mark.parametrize("field", ["temperature", "max_output_tokens"])
def test_an_empty_text_removes_a_value(tmp_path: Path, field: str) -> None:
    there = stage(agents__writer=agent(temperature=1.0, max_output_tokens=7))
    (change,) = plan(tmp_path, f'[agents.writer]\n{field} = ""\n', there).changes
    assert (change.changed, change.new[field]) == ([field], None)


def test_name_in_another_unicode_form_is_unchanged(tmp_path: Path) -> None:
    there = stage(agents__writer=agent(name="Jos\u00e9"))
    assert plan(tmp_path, '[agents.writer]\nname = "Jose\u0301"\ntemperature = ""\n', there).changes == ()


def test_agents_are_written_before_councils_each_by_key(tmp_path: Path) -> None:
    text = f"""
[councils.board]
name = "Board"
mode = "council"
agent_keys = ["zoe", "ada"]
[agents.zoe]
{NEW_AGENT}[agents.ada]
{NEW_AGENT}"""
    places = [str(change.place) for change in plan(tmp_path, text, stage()).changes]
    assert places == ["[agents.ada]", "[agents.zoe]", "[councils.board]"]


def test_alias_that_the_stage_lost_is_accepted_for_an_unchanged_entry(tmp_path: Path) -> None:
    there = stage(agents__writer=agent(model_alias="gone"))
    assert plan(tmp_path, '[agents.writer]\nname = "Writer"\n', there).changes == ()
    assert faults(tmp_path, '[agents.writer]\nname = "Author"\n', there) == [
        "[agents.writer] model_alias: must be one of: fast, deep."
    ]


def test_each_fault_of_a_file_is_one_line(tmp_path: Path) -> None:
    text = f"""
[agents.writer]
name = ""
model_alias = "fast"
colour = "red"
[agents.critic]
{NEW_AGENT}temperature = 3
"""
    assert sorted(faults(tmp_path, text)) == [
        "[agents.critic] temperature: must be less than or equal to 2",
        "[agents.writer] colour: is not a field of this table",
        "[agents.writer] name: Value should have at least 1 item after validation, not 0",
        "[agents.writer] role_prompt: is missing",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[agent.writer]", "[agent] is not a table of a roster; use [agents.KEY] or [councils.KEY]"),
        ("agents = 3", "[agents] must hold tables [agents.KEY]"),
        ("agents.writer = 3", "[agents.writer] must be a table"),
        ("[[agents.writer]]", "[agents.writer] must be a table"),
        (
            "[agents.Writer]",
            "[agents.Writer] key: a key is a small letter, then up to 31 small letters, digits, - and _",
        ),
        (
            '[agents."a\\nb"]',
            r"[agents.a\nb] key: a key is a small letter, then up to 31 small letters, digits, - and _",
        ),
        ("[agents.writer]\nversion = 3", "[agents.writer] version: is not a field of this table"),
        ("[agents.writer]\nkey = 'a'", "[agents.writer] key: is not a field of this table"),
        (
            f"[agents.writer]\nname = '{'x' * 65}'",
            "[agents.writer] name: Value should have at most 64 items after validation, not 65",
        ),
        (
            "[councils.board]\nagent_keys = []",
            "[councils.board] agent_keys: List should have at least 1 item after validation, not 0",
        ),
        ("[agents.writer]\nenabled = 1", "[agents.writer] enabled: must be a valid boolean"),
        ("[agents.writer]\nenabled = ''", "[agents.writer] enabled: must be a valid boolean"),
        ("[agents.writer]\ntemperature = nan", "[agents.writer] temperature: must be a finite number"),
        ("[agents.writer]\nname = 2020-01-01", "[agents.writer] name: must be a valid string"),
        ("[agents.writer]\nmodel_alias = 'wise'", "[agents.writer] model_alias: must be one of: fast, deep."),
        (
            "[agents.writer]\nmax_output_tokens = 5000",
            "[agents.writer] max_output_tokens: must be at most 4096, the cap of the alias 'fast', {cap}",
        ),
        (
            "[councils.board]\nagent_keys = ['writer', 'nobody']",
            "[councils.board] agent_keys: there is no agent nobody, neither in the file nor at the stage",
        ),
        ("[councils.board]\nchair_key = 'nobody'", "[councils.board] chair_key: must be one of agent_keys"),
        (f"[agents.board]\n{NEW_AGENT}", "[agents.board] key: there is [councils.board], and {shared}"),
        (
            '[councils.writer]\nname = "N"\nmode = "tag"\nagent_keys = ["writer"]',
            "[councils.writer] key: there is [agents.writer], and {shared}",
        ),
    ],
)
def test_a_fault_names_file_table_and_field(tmp_path: Path, text: str, fault: str) -> None:
    there = stage(agents__writer=agent(), agents__critic=agent(), councils__board=council())
    found = faults(tmp_path, text, there)
    assert fault.format(shared="agents and councils share their keys", cap="or null for this cap.") in found


@pytest.mark.parametrize(
    "content",
    [b"[agents", b"\xff\xfe", b"a = " + b"9" * 5000, b"a = " + b"[" * 9000],
    ids=["cut", "utf", "long", "deep"],
)
def test_file_that_is_not_toml_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "roster.toml"
    path.write_bytes(content)
    with pytest.raises(RosterError) as raised:
        read_fields(path)
    (line,) = raised.value.lines
    assert line.startswith(f"{path}: ")


def test_missing_file_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(RosterError, match="No such file"):
        read_fields(tmp_path / "none.toml")
