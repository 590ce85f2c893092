"""Tests how a plan of roster changes is printed."""

from typing import Any

from local.roster.entries import Change, Place, Plan, Stored
from local.roster.report import counts, diff_lines
from tests.support.rosters import agent

WRITER = Place("agents", "writer")


def diff(old: dict[str, Any] | None, new: dict[str, Any]) -> list[str]:
    stored = None if old is None else Stored(old, 3)
    return list(diff_lines(Plan((Change(WRITER, stored, new),), unchanged=2)))


def test_a_new_entry_is_shown_as_the_file_has_it() -> None:
    assert diff(None, agent(role_prompt="One.\nTwo.")) == [
        "+ [agents.writer]",
        '    name = "Writer"',
        '    role_prompt = """',
        "    One.",
        '    Two."""',
        '    model_alias = "fast"',
        "    enabled = true",
        "= 2 unchanged",
    ]


def test_a_changed_field_is_shown_as_old_and_new() -> None:
    assert diff(agent(temperature=0.5), agent(name="Author", max_output_tokens=9)) == [
        "~ [agents.writer]",
        '    name: "Writer" -> "Author"',
        "    max_output_tokens: none -> 9",
        "    temperature: 0.5 -> none",
        "= 2 unchanged",
    ]


def test_a_changed_text_of_several_lines_is_a_unified_diff() -> None:
    old, new = (agent(role_prompt=f"Begin.\n{middle}\nEnd.") for middle in ("Old.", "New."))
    assert diff(old, new)[1:-1] == [
        "    role_prompt:",
        "      --- stage",
        "      +++ file",
        "      @@ -1,3 +1,3 @@",
        "       Begin.",
        "      -Old.",
        "      +New.",
        "       End.",
    ]


def test_no_text_of_a_stage_steers_the_terminal() -> None:
    hostile = "\x1b[2J\r\u202e\u200b\x9b1m\nend"
    for lines in (diff(agent(role_prompt=hostile), agent()), diff(None, agent(role_prompt=hostile))):
        assert all(line.isprintable() for line in lines)
    assert r"      -\x1b[2J\r\u202e\u200b\x9b1m" in diff(agent(role_prompt=hostile), agent())


def test_counts_match_the_plan() -> None:
    changes = (Change(WRITER, None, agent()), Change(WRITER, Stored(agent(), 3), agent(name="A")))
    assert counts(Plan(changes, unchanged=2)) == "1 new, 1 changed, 2 unchanged"
