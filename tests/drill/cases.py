"""The ways in which one release begins a turn that the other one has to finish."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from tests.faults.actor import AMPLE_S
from tests.faults.scenarios import (
    CRITIC,
    RESEARCHER,
    ROUTING,
    SCENARIOS,
    SUMMARY_STRUCTURE,
    SUMMARY_TEXT,
    WRITER,
    Scenario,
)

Fate = Literal["left", "killed", "stopped"]
# The agents and helpers that a turn asks, in this order, by their system prompts.
MODES: Mapping[str, tuple[Scenario, tuple[str, ...]]] = MappingProxyType(
    {
        "manual": (Scenario("@writer @critic hello", "manual"), (WRITER, CRITIC)),
        "tag": (SCENARIOS["sequential"], (WRITER, CRITIC)),
        "parallel": (SCENARIOS["parallel"], (WRITER, CRITIC, RESEARCHER)),
        "roundtable": (SCENARIOS["roundtable"], (WRITER, CRITIC, RESEARCHER)),
        "orchestrator": (SCENARIOS["orchestrator"], (ROUTING, CRITIC, WRITER)),
        "costly": (SCENARIOS["attempts that cost"], (WRITER, CRITIC)),
        "summary": (SCENARIOS["orchestrator and summary"], (SUMMARY_TEXT, SUMMARY_STRUCTURE)),
    }
)


@dataclass(frozen=True)
class Case:
    """A turn that its runner leaves to the queue, or whose runner is killed or stopped in its call number `call`."""

    mode: str
    fate: Fate
    scenario: Scenario
    call: str = ""

    def __str__(self) -> str:
        return f"{self.mode}, {self.fate} {self.call}".strip()


def cases() -> Iterator[Case]:
    """Return every mode with every fate of its first runner."""
    for mode, (scenario, calls) in MODES.items():
        yield Case(mode, "left", replace(scenario, later=True))
        # The time is enough for no step, or for the first one. All calls of a parallel turn are one step.
        yield Case(mode, "left", replace(scenario, seconds_left=(0.0,)))
        if scenario.fan_out == "sequential":
            yield Case(mode, "left", replace(scenario, seconds_left=(AMPLE_S, 0.0)))
        for call in calls:
            yield Case(mode, "killed", scenario, call)
        yield Case(mode, "stopped", scenario, calls[-1])


def sample() -> Iterator[Case]:
    """Return one case of each fate."""
    scenario, calls = MODES["tag"]
    yield Case("tag", "left", replace(scenario, later=True))
    yield Case("tag", "killed", scenario, calls[-1])
    yield Case("tag", "stopped", scenario, calls[-1])
