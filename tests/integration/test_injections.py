"""Tests texts of users, agents, managers and summarisers that try to change the roster.

No agent outside the plan is asked, and none is asked more often.
"""

import json
from collections.abc import Iterator
from itertools import cycle
from typing import Any

import pytest

from shared.llm.port import Completion, OnText, Request
from shared.llm.scripted import ScriptedProvider
from shared.settings import settings
from tests.support.council_room import CouncilRoom, body
from tests.support.injections import ORDERS, REPLIES, STRANGERS
from tests.support.model_answers import HELPERS

KEYS = ("writer", "researcher", "critic")
# The agents that a message without a tag of theirs asks, and the number of the turn's calls.
MODES = {"manual": ["writer"], "tag": ["writer"], "roundtable": list(KEYS), "orchestrator": ["critic", "writer"]}
DECISION = json.dumps({"selected_agent_keys": ["critic", "writer"], "reason": ""})


class Infected(ScriptedProvider):
    """A provider whose agents and `infected` helpers answer with the next of all injections.

    A healthy manager routes to two agents.
    """

    def __init__(self, *infected: str) -> None:
        super().__init__()
        self._infected = infected
        self._words: Iterator[str] = cycle(REPLIES)

    def complete(self, request: Request, _on_text: OnText | None = None) -> Completion:
        helper = next((name for name, start in HELPERS.items() if request.messages[0].text.startswith(start)), "agent")
        self.enqueue(DECISION if helper == "routing" and helper not in self._infected else next(self._words))
        return super().complete(request)


def asked(turn: dict[str, Any]) -> list[str]:
    return [reply["agent_key"] for reply in turn["replies"]]


def test_injections_are_at_least_the_required_number() -> None:
    assert len(set(ORDERS)) >= 100
    assert len(set(REPLIES)) >= len(set(ORDERS)) + 10


@pytest.mark.parametrize("mode", MODES)
def test_injected_message_adds_no_agent_and_no_call(room: CouncilRoom, mode: str) -> None:
    """One session, so that every message is followed by all that was said before."""
    provider = Infected()
    runner, session_id = room.runner(provider=provider), room.make_session(mode=mode)
    calls = len(MODES[mode]) + (mode == "orchestrator")
    for message in ORDERS:
        before = len(provider.requests)
        turn = body(room.take(message, runner=runner, session_id=session_id))
        assert asked(turn) == turn["plan"]["selected_agent_keys"] == MODES[mode], message
        summary = 2 if turn["summary_triggered"] else 0
        assert len(provider.requests) - before == calls + summary, message
    answered = room.rows("SELECT DISTINCT agent_key FROM llm_calls WHERE agent_key IS NOT NULL ORDER BY 1")
    assert [row["agent_key"] for row in answered] == sorted(MODES[mode])
    assert room.row("SELECT count(*) AS calls FROM llm_calls")["calls"] == len(provider.requests)


def test_manager_that_obeys_an_injection_adds_no_agent(room: CouncilRoom) -> None:
    provider = Infected("routing")
    runner = room.runner(provider=provider)
    for message in ORDERS:
        before = len(provider.requests)
        turn = body(room.take(message, runner=runner, session_id=room.make_session(mode="orchestrator")))
        assert 1 <= len(asked(turn)) <= 4, message
        assert set(asked(turn)) <= set(KEYS), message
        assert len(provider.requests) - before == 1 + len(asked(turn)), message
    assert not room.rows("SELECT key FROM agents WHERE key = ANY (%s)", list(STRANGERS))


@pytest.mark.parametrize("fan_out", ["sequential", "parallel"])
def test_reply_that_names_agents_asks_none(room: CouncilRoom, fan_out: str) -> None:
    provider = Infected()
    runner = room.runner(provider=provider)
    for reply in REPLIES:
        before = len(provider.requests)
        turn = body(room.take("@critic?", runner=runner, session_id=room.make_session(fan_out=fan_out)))
        assert asked(turn) == ["critic"], reply
        assert len(provider.requests) - before == 1, reply


def test_summary_of_injections_changes_no_plan(room: CouncilRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PANTHEON_SUMMARY_AFTER_TURNS", "2")
    settings.cache_clear()
    provider = Infected("summary_text")
    runner, session_id = room.runner(provider=provider), room.make_session(mode="orchestrator")
    for message in ORDERS:
        turn = body(room.take(message, runner=runner, session_id=session_id))
        assert asked(turn) == ["critic", "writer"], message
    assert room.row("SELECT count(*) AS summaries FROM summaries")["summaries"] == len(ORDERS) // 2
