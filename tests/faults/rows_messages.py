"""Faults of messages: repeated, early, of another turn, or unreadable.

Each is done or returned to the queue, and no session is blocked.
"""

import json
import random
from uuid import UUID, uuid4

from shared.domain.message import TurnMessage
from tests.faults import events
from tests.faults.actor import Answer, Job
from tests.faults.checks import Finding
from tests.faults.matrix import Tally
from tests.faults.scenarios import SCENARIOS
from tests.faults.turn import TurnUnderFault
from tests.faults.world import World

_NO_MESSAGES = (
    "",
    "hello",
    "{}",
    "[]",
    "null",
    "1",
    '"text"',
    '{"turn_id": 5, "tenant_id": "tenant-1"}',
    '{"turn_id": "x", "tenant_id": "tenant-1"}',
    '{"tenant_id": "tenant-1"}',
    json.dumps({"turn_id": str(uuid4())}),
    json.dumps({"turn_id": str(uuid4()), "tenant_id": "\x00"}),
    "[" * 5000,
)


def messages(world: World, tally: Tally, rng: random.Random) -> None:
    """Deliver a batch in any order: the turn's own message once or twice, and some others."""
    while not tally.done:
        turn = TurnUnderFault.begin(world, SCENARIOS[rng.choice(("posted for later", "handed over"))], rng)
        # A message may arrive before its turn exists.
        early = turn.run(Job("worker", events.deliver(uuid4())))
        turn.run(turn.post_job())
        row = turn.row()
        assert row is not None
        own = _message(str(row["id"]))
        good = [own] * rng.randint(1, 3) + [_message(str(uuid4())), _message(str(row["id"]), "tenant-2")]
        bad = rng.sample(_NO_MESSAGES, rng.randint(0, 4))
        bodies = rng.sample(good + bad, len(good + bad))
        batch = turn.run(Job("worker", events.deliver_all(*bodies)))
        again = turn.run(turn.deliver_job())
        found: list[Finding] = []
        expected = [str(number) for number, body in enumerate(bodies) if body in bad]
        if _failures(batch) != expected:
            found.append(("message", f"of {bodies}, {_failures(batch)} came back, and not {expected}"))
        if _failures(early) or _failures(again):
            found.append(("message", "a message that has nothing to do came back"))
        if not turn.ended():
            found.append(("stuck", f"turn {row['id']} was not run"))
        turn.bring_to_end()
        tally.add(world, turn, more=found + _blocked(turn))


def _message(turn_id: str, tenant_id: str = events.TENANT) -> str:
    return TurnMessage(UUID(turn_id), tenant_id).as_json()


def _failures(answer: Answer | None) -> list[str]:
    return [each["itemIdentifier"] for each in answer.returned["batchItemFailures"]] if answer else ["all"]


def _blocked(turn: TurnUnderFault) -> list[Finding]:
    """Return whether the session refuses another turn."""
    following = turn.run(Job("turns", events.post_turn(turn.session_id, "@writer again", turn.key + "-next")))
    turn.told.pop()
    turn.requests += turn.world.requests()
    if following is None or following.status != 201:
        return [("stuck", f"session {turn.session_id} is blocked")]
    return []
