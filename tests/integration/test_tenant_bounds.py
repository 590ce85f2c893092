"""Tests that the bounds of a tenant's turns are exact, however many turns are posted at once."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from shared.db.protocol import ACCEPT
from shared.errors import BudgetExceeded, PantheonError, RateLimited, TooManyActiveTurns
from shared.llm.port import Completion, OnText, Request
from shared.names import Env
from shared.settings import settings
from tests.support.council_room import CouncilRoom, answer, wait_for
from tests.support.other_process import OtherProcess


@dataclass
class Crowd:
    """Turns that are posted at the same moment. Its provider answers the `expected` ones after the others' refusals."""

    room: CouncilRoom
    number: int
    expected: int
    completion: Completion = field(default_factory=answer)
    refused: list[PantheonError] = field(default_factory=list)

    def complete(self, _: Request, _on_text: OnText | None = None) -> Completion:
        wait_for(lambda: len(self.refused) >= self.number - self.expected)
        return self.completion

    def post(self, **posted: Any) -> list[PantheonError]:
        """Post the turns in sessions of their own. Returns the errors of the refused ones."""
        requests = [{"session_id": self.room.make_session(), **posted} for _ in range(self.number)]
        runners = [self.room.runner(db=self.room.open_database(), provider=self) for _ in requests]

        def post(at: int) -> None:
            try:
                self.room.take("hello", runner=runners[at], **requests[at])
            except (BudgetExceeded, RateLimited) as error:
                self.refused.append(error)

        with ThreadPoolExecutor(self.number) as pool:
            list(pool.map(post, range(self.number)))
        return self.refused


def limit(monkeypatch: pytest.MonkeyPatch, name: Env, number: int) -> None:
    monkeypatch.setenv(name, str(number))
    settings.cache_clear()


def test_one_of_twenty_orchestrator_turns_is_accepted_if_there_is_room_for_one(room: CouncilRoom) -> None:
    room.take("@researcher hello", session_id=room.make_session())
    (reserve,) = room.calls("reserve_usd")[0]
    room.limit_to(f"spent_usd + {reserve} * 1.5")
    crowd = Crowd(room, 20, 1, answer('{"selected_agent_keys": ["critic"]}'))
    assert [type(error) for error in crowd.post(mode="orchestrator")] == [BudgetExceeded] * 19
    assert room.row("SELECT count(*) AS n FROM llm_calls WHERE purpose = 'routing'") == {"n": 1}
    assert room.row("SELECT count(*) AS n FROM turns WHERE mode = 'orchestrator'") == {"n": 1}


def test_five_of_thirty_turns_are_accepted_at_a_rate_of_five(
    room: CouncilRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(monkeypatch, Env.TURNS_PER_MINUTE, 5)
    assert [type(error) for error in Crowd(room, 30, 5).post()] == [RateLimited] * 25
    assert room.row("SELECT count(*) AS n FROM turns") == {"n": 5}


def test_four_of_thirty_turns_are_active_if_a_tenant_may_have_four(
    room: CouncilRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(monkeypatch, Env.TENANT_ACTIVE_TURNS, 4)
    refused = Crowd(room, 30, 4).post()
    assert [type(error) for error in refused] == [TooManyActiveTurns] * 26
    assert all(int(error.headers["Retry-After"]) >= 1 for error in refused)
    assert room.take("@writer hello", session_id=room.make_session()).published


def test_a_queued_turn_is_active(room: CouncilRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(monkeypatch, Env.TENANT_ACTIVE_TURNS, 1)
    queued = room.take("@writer hello", later=True)
    with pytest.raises(TooManyActiveTurns):
        room.take("@writer hello", session_id=room.make_session())
    room.resume(queued.turn_id)
    assert room.take("@writer hello").published


def test_a_conflict_and_a_replay_come_before_the_bounds(room: CouncilRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(monkeypatch, Env.TENANT_ACTIVE_TURNS, 1)
    room.take("@writer hello", later=True, idempotency_key="key-1")
    assert room.take("@writer hello", later=True, idempotency_key="key-1").status == "accepted"
    with pytest.raises(PantheonError) as refused:
        room.take("@writer hello")
    assert refused.value.code == "turn_conflict"


def test_the_active_turns_of_other_tenants_do_not_count(room: CouncilRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(monkeypatch, Env.TENANT_ACTIVE_TURNS, 1)
    neighbour = CouncilRoom(room.owner, room.app_url, tenant_id="tenant-2")
    with neighbour.databases:
        neighbour.take("@writer hello", later=True)
        assert room.take("@writer hello").published
        neighbour.resume(room.row("SELECT id FROM turns WHERE status = 'accepted'")["id"])


def test_a_turn_that_is_refused_counts_for_no_bound(room: CouncilRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(monkeypatch, Env.TURNS_PER_MINUTE, 1)
    room.limit(0)
    for _ in range(3):
        with pytest.raises(BudgetExceeded):
            room.take("@writer hello")
    room.limit(None)
    assert room.take("@writer hello").published


def test_a_tenants_turns_are_accepted_one_by_one(
    room: CouncilRoom, other: OtherProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second waits for the tenant's row. Without that lock it would not count the uncommitted first turn."""
    limit(monkeypatch, Env.TURNS_PER_MINUTE, 1)
    elsewhere = room.make_session()
    other.comes_second(ACCEPT, lambda: other.take("@writer hello", session_id=elsewhere))
    room.limit(100)
    assert room.take("@writer hello").published
    with pytest.raises(RateLimited):
        other.result()
