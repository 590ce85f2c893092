"""Tests turns in Postgres: each agent's prompt repeats its last one, also after a kill and in another process."""

from itertools import pairwise
from typing import Any

import pytest

from shared.llm.port import Request
from shared.llm.tokens import TokenEstimates
from tests.support.council_room import CouncilRoom, Killed, body

TURNS = 8
MODES = [("tag", "sequential"), ("tag", "parallel"), ("roundtable", "sequential"), ("roundtable", "parallel")]


def by_agent(requests: list[Request]) -> dict[str, list[Request]]:
    """The agents' requests by their system messages."""
    agents: dict[str, list[Request]] = {}
    for request in requests:
        if request.continues:
            agents.setdefault(request.messages[0].text, []).append(request)
    return agents


@pytest.mark.parametrize(("mode", "fan_out"), MODES)
def test_each_agents_prompt_repeats_its_last_one(room: CouncilRoom, mode: str, fan_out: str) -> None:
    session_id = room.make_session(mode=mode, fan_out=fan_out)
    for turn in range(TURNS):
        room.take(f"@writer @researcher @critic Question {turn}?", session_id=session_id)
    agents = by_agent(room.provider.requests)
    assert [len(requests) for requests in agents.values()] == [TURNS] * 3
    for requests in agents.values():
        for earlier, later in pairwise(requests):
            assert later.messages[: len(earlier.messages)] == earlier.messages
        assert len({request.cache_key for request in requests}) == 1
    assert len({requests[0].cache_key for requests in agents.values()}) == 3


def test_another_session_has_other_cache_keys(room: CouncilRoom) -> None:
    for _ in range(2):
        room.take("@writer Hello?", session_id=room.make_session())
    one, other = (request.cache_key for request in room.provider.requests)
    assert one
    assert one != other


def test_a_call_that_is_made_again_after_a_kill_sends_the_same_prompt(
    room: CouncilRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(_: Request) -> Any:
        raise Killed

    for turn in range(3):
        room.take(f"@writer Question {turn}?")
    room.provider.enqueue(die)
    turn_id = room.take_until_killed("@writer Question 3?")
    # Another process has learned nothing about tokens yet.
    monkeypatch.setattr("shared.turns.run.token_estimates", TokenEstimates)
    assert body(room.resume(turn_id))["status"] == "completed"
    lost, again = room.provider.requests[-2:]
    assert again.messages == lost.messages
    assert (again.cache_key, again.continues) == (lost.cache_key, True)
    assert lost.messages[: len(room.provider.requests[2].messages)] == room.provider.requests[2].messages
