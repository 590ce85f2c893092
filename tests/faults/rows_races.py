"""Races: one turn for eight workers, one session for sixteen clients, one key for eight clients."""

import random
import time
from collections import Counter
from collections.abc import Sequence

from tests.faults import events
from tests.faults.actor import PATIENCE_S, Actor, Answer, Job
from tests.faults.checks import Finding
from tests.faults.matrix import Tally
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.turn import TurnUnderFault
from tests.faults.world import Rule, World
from tests.support.fake_provider import moods

_HELD = Scenario("@writer hello", rules=(Rule(moods.hold(), "", None),))


def deliver_to_eight(world: World, tally: Tally, rng: random.Random) -> None:
    """Deliver a turn, posted for later or with a dead runner, to eight workers at once."""
    names = ("posted for later", "sequential", "orchestrator", "parallel")
    while not tally.done:
        name = names[tally.rounds % len(names)]
        turn = TurnUnderFault.begin(world, SCENARIOS[name], rng)
        turn.run(turn.post_job(None if SCENARIOS[name].later else ("after call", 1)))
        before = turn.row()
        assert before is not None
        world.expire_lease(before["id"])
        actors, job = [turn.actor() for _ in range(8)], turn.deliver_job()
        _send(actors, [job] * 8)
        answers = [turn.finish(actor, job) for actor in actors]
        turn.requests += world.requests()
        found: list[Finding] = []
        after = turn.row()
        assert after is not None
        if any(answer is None or answer.returned["batchItemFailures"] for answer in answers):
            found.append(("message", f"a worker refused turn {before['id']}"))
        if after["lease_epoch"] != before["lease_epoch"] + 1:
            found.append(("double", f"turn {before['id']} was claimed more than once"))
        published = world.rows("SELECT count(*) AS times FROM audit_events WHERE turn_id = %s", before["id"])
        if published != [{"times": 1}]:
            found.append(("double", f"turn {before['id']} was published {published[0]['times']} times"))
        turn.bring_to_end()
        tally.add(world, turn, kind=name, more=found)


def sixteen_keys(world: World, tally: Tally, rng: random.Random) -> None:
    """Post to one session by sixteen clients, each with its own key. The provider answers after fifteen were
    answered.
    """
    while not tally.done:
        turn = TurnUnderFault.begin(world, _HELD, rng)
        keys = [f"{turn.key}-{number}" for number in range(16)]
        actors = [turn.actor() for _ in keys]
        _send(actors, [Job("turns", events.post_turn(turn.session_id, _HELD.message, key)) for key in keys])
        refused = _answered(turn, actors)
        world.release()
        answers = {
            key: event for key, actor in zip(keys, actors, strict=True) if isinstance(event := actor.wait(), Answer)
        }
        world.give_back(*actors)
        turn.requests += world.requests()
        turn.key = next((key for key, answer in answers.items() if answer.status == 201), keys[0])
        turn.told.append(answers[turn.key])
        found: list[Finding] = []
        statuses = Counter(answer.status for answer in answers.values())
        if statuses != {201: 1, 409: 15} or not refused:
            found.append(("conflict", f"sixteen clients of session {turn.session_id} were answered {dict(statuses)}"))
        turn.bring_to_end()
        tally.add(world, turn, more=found + _losers_calls(turn))


def _losers_calls(turn: TurnUnderFault) -> list[Finding]:
    row = turn.row()
    assert row is not None
    calls = turn.world.rows("SELECT call_id FROM llm_calls WHERE turn_id = %s", row["id"])
    others = {request["client_request_id"] for request in turn.requests} - {str(call["call_id"]) for call in calls}
    return [("conflict", f"a client that was refused made call {call_id}") for call_id in others]


def one_key(world: World, tally: Tally, rng: random.Random) -> None:
    """Post the same turn by eight clients with one key. They repeat the request until they get the end."""
    names = ("sequential", "orchestrator", "one agent")
    while not tally.done:
        name = names[tally.rounds % len(names)]
        turn = TurnUnderFault.begin(world, SCENARIOS[name], rng)
        actors, job = [turn.actor() for _ in range(8)], turn.post_job()
        bodies: Counter[str] = Counter()
        for _ in range(50):
            _send(actors, [job] * len(actors))
            answers = [(actor, turn.finish(actor, job)) for actor in actors]
            bodies.update(answer.body for _, answer in answers if answer and answer.status == 201)
            if sum(bodies.values()) >= 8:
                break
            actors = [turn.actor() for _, answer in answers if not answer or answer.status != 201]
        found: list[Finding] = []
        if sorted(bodies.values()) != [8]:
            found.append(("told", f"eight clients of key {turn.key} were answered {sorted(bodies.values())}"))
        turn.bring_to_end()
        row = turn.row()
        planned = len(row["plan"]["selected_agent_keys"]) + (name == "orchestrator") if row else 0
        if len(turn.requests) != planned:
            found.append(("asked again", f"{len(turn.requests)} calls for key {turn.key}"))
        tally.add(world, turn, kind=name, more=found)


def _send(actors: Sequence[Actor], jobs: Sequence[Job]) -> None:
    for actor, job in zip(actors, jobs, strict=True):
        actor.send(job)


def _answered(turn: TurnUnderFault, waiting: Sequence[Actor]) -> bool:
    """Wait until all but one have answered. Returns False after a second call to the provider or a timeout."""
    deadline = time.monotonic() + PATIENCE_S
    while sum(actor.has_answered() for actor in waiting) < len(waiting) - 1:
        turn.requests += turn.world.requests()
        if len(turn.requests) > 1 or time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True
