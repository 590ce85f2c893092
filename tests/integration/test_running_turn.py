"""Tests a running turn that is read: its replies have the positions that they keep after its end."""

import json
from typing import Any

import pytest

from shared.db.turns import load_turn
from shared.llm.port import Request
from tests.support.council_room import CouncilRoom, body

ALL = "@writer @researcher @critic hello"


def test_replies_keep_their_positions_when_the_first_agents_alias_is_unknown(room: CouncilRoom) -> None:
    """The first agent has no call then, so the journal has no row of its step."""
    seen: list[Any] = []

    def look(_: Request) -> str:
        seen.append(json.loads(load_turn(room.open_database(), room.actor, turn_id).body)["replies"])
        return "Violets."

    turn_id = room.take(ALL, later=True).turn_id
    room.owner.execute("UPDATE agent_versions SET model_alias = 'gone' WHERE key = 'writer'")
    room.provider.enqueue("Roses.", look)
    ended = body(room.resume(turn_id))["replies"]
    assert [reply["status"] for reply in ended] == ["skipped", "completed", "completed"]
    assert seen == [[ended[1]]]


@pytest.mark.parametrize("refused", [False, True], ids=["asked", "refused"])
def test_replies_are_counted_from_the_plans_first_agent_whether_or_not_the_manager_was_asked(
    room: CouncilRoom, refused: bool
) -> None:
    seen: list[Any] = []

    def look(_: Request) -> str:
        turn_id = room.row("SELECT id FROM turns ORDER BY id DESC LIMIT 1")["id"]
        seen.append(json.loads(load_turn(room.open_database(), room.actor, turn_id).body)["replies"])
        return "Violets."

    if refused:
        # The caps cover three agents with short answers, and no helper in addition to the first of them.
        room.owner.execute("UPDATE agent_versions SET max_output_tokens = 16")
        room.limit(0, "platform")
        room.take(ALL, session_id=room.make_session())
        room.limit_to(f"spent_usd + {sum(reserve for (reserve,) in room.calls('reserve_usd'))}")
    else:
        room.provider.enqueue('{"selected_agent_keys": ["writer", "researcher", "critic"]}')
    room.provider.enqueue("Roses.", look)
    ended = body(room.take(ALL, mode="orchestrator"))["replies"]
    assert len(ended) == 3
    assert seen == [ended[:1]]
