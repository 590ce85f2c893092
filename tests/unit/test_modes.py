"""Tests the example of a mode in docs/modes.md, and modes that refuse rosters."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from shared.domain.agent import Agent
from shared.domain.conversation import Conversation
from shared.domain.turn import CALL, Plan
from shared.errors import NoChair, RosterRefused
from shared.orchestration.council import Council
from shared.orchestration.modes import MODES, Checked, check_roster, roundtable
from tests.unit.test_council import ROSTER, Sitting

DOCUMENT = Path(__file__).parents[2] / "docs" / "modes.md"


def documented(name: str) -> Callable[[Council], None]:
    """The function of this name in the document's code block."""
    source = re.search(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert source is not None
    scope: dict[str, Callable[[Council], None]] = {}
    exec(source[1], {"Council": Council, "Plan": Plan}, scope)
    return scope[name]


def test_documented_debate_asks_each_side_twice_and_then_the_judge() -> None:
    sitting = Sitting("Tabs or spaces?")
    sitting.provider.enqueue("Tabs.", "Spaces.", "Tabs!", "Spaces!", "Neither.")
    documented("debate")(sitting.council)
    assert [(reply.agent_key, reply.text) for reply in sitting.council.replies] == [
        ("writer", "Tabs."),
        ("researcher", "Spaces."),
        ("writer", "Tabs!"),
        ("researcher", "Spaces!"),
        ("critic", "Neither."),
    ]
    assert "Spaces!" in sitting.heard(4)


def test_modes_of_the_document_equal_the_registered_modes() -> None:
    table = DOCUMENT.read_text().partition("| mode | agents that answer |")[2].partition("\n\n")[0]
    # No client chooses the mode of plain calls.
    assert {*re.findall(r"^\| `([a-z]+)` \|", table, re.MULTILINE), CALL} == set(MODES)


def conversation(roster: Mapping[str, Agent], chair_key: str | None = None) -> Conversation:
    return Conversation(MappingProxyType(dict(roster)), (), "hello", chair_key=chair_key)


def three_agents(conversation: Conversation) -> None:
    if len(conversation.roster) < 3:
        raise RosterRefused("A debate takes three agents.")


def test_a_checked_mode_refuses_a_roster_and_runs_with_another_one() -> None:
    debate = Checked(roundtable, three_agents)
    with pytest.raises(RosterRefused, match="three agents"):
        check_roster(debate, conversation({"writer": ROSTER["writer"]}))
    check_roster(debate, conversation(ROSTER))
    sitting = Sitting()
    debate(sitting.council)
    assert [reply.agent_key for reply in sitting.council.replies] == list(ROSTER)


@pytest.mark.parametrize("mode", MODES)
def test_built_in_mode_accepts_a_small_roster(mode: str) -> None:
    check_roster(MODES[mode], conversation({"writer": ROSTER["writer"]}))


@pytest.mark.parametrize("missing", ["editor", "critic"])
def test_a_council_refuses_a_chair_that_cannot_be_asked(missing: str) -> None:
    roster = {**ROSTER, "critic": replace(ROSTER["critic"], model_alias="gone")}
    with pytest.raises(NoChair):
        check_roster(MODES["council"], conversation(roster, missing))
    check_roster(MODES["council"], conversation(roster, "researcher"))


def test_a_council_refuses_more_members_than_there_are_letters() -> None:
    roster = {f"agent-{number}": replace(ROSTER["writer"], key=f"agent-{number}") for number in range(27)}
    with pytest.raises(RosterRefused, match="26"):
        check_roster(MODES["council"], conversation(roster))
    del roster["agent-26"]
    check_roster(MODES["council"], conversation(roster))
