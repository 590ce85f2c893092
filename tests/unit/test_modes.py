"""The example by which docs/modes.md shows how to write a mode, run as it stands there."""

import re
from collections.abc import Callable
from pathlib import Path

from shared.domain.turn import Plan
from shared.orchestration.council import Council
from shared.orchestration.modes import MODES
from tests.unit.test_council import Sitting

DOCUMENT = Path(__file__).parents[2] / "docs" / "modes.md"


def documented(name: str) -> Callable[[Council], None]:
    """The function of this name in the document's code block."""
    source = re.search(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert source is not None
    scope: dict[str, Callable[[Council], None]] = {}
    exec(source[1], {"Council": Council, "Plan": Plan}, scope)
    return scope[name]


def test_the_documented_debate_asks_twice_in_turn_and_then_the_judge() -> None:
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


def test_every_mode_of_the_document_is_registered_and_the_other_way_round() -> None:
    assert set(re.findall(r"^\| `([a-z]+)` \|", DOCUMENT.read_text(), re.MULTILINE)) == set(MODES)
