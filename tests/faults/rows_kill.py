"""Faults by SIGKILL: at every point of the protocol, at random times, and again during recovery."""

import random
import time

from tests.faults.actor import Answer, Job
from tests.faults.checks import broken_invariants
from tests.faults.matrix import Tally
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.turn import TurnUnderFault
from tests.faults.world import World

# Longer than any turn takes unharmed, in seconds.
_LONGEST_S = 0.15


def count_points(world: World, scenario: Scenario, rng: random.Random) -> tuple[int, int]:
    """Count the points of a client's request, and then of the worker, without a kill."""
    turn = TurnUnderFault.begin(world, scenario, rng)
    posted = turn.run(turn.post_job())
    assert isinstance(posted, Answer)
    delivered = None if turn.ended() else turn.run(turn.deliver_job())
    turn.bring_to_end()
    return len(posted.trace), len(delivered.trace) if delivered else 0


def kill(world: World, tally: Tally, rng: random.Random) -> None:
    """Kill at every point of every scenario once, in any order, then at random times until the row has its rounds."""
    points: list[tuple[str, int, int]] = []
    for name in rng.sample(list(SCENARIOS), len(SCENARIOS)):
        # A short run tries the points of a few scenarios.
        if len(points) >= tally.wanted:
            break
        posted, delivered = count_points(world, SCENARIOS[name], rng)
        points += [(name, 0, point) for point in range(posted)] + [(name, 1, point) for point in range(delivered)]
    rng.shuffle(points)
    while not tally.done:
        if points:
            name, leg, point = points.pop()
            turn = TurnUnderFault.begin(world, SCENARIOS[name], rng)
            turn.run(turn.post_job(point if leg == 0 else None))
            if leg == 1 and not turn.ended():
                turn.run(turn.deliver_job(point))
            found = broken_invariants(world)
            turn.bring_to_end()
            tally.add(world, turn, kind="at a point", more=found)
        else:
            turn = TurnUnderFault.begin(world, rng.choice(list(SCENARIOS.values())), rng)
            kill_at_random(turn, turn.post_job(), rng)
            turn.bring_to_end()
            tally.add(world, turn, kind="at a random time")


def kill_at_random(turn: TurnUnderFault, job: Job, rng: random.Random) -> None:
    actor = turn.actor()
    actor.send(job)
    time.sleep(rng.uniform(0, _LONGEST_S))
    if actor.has_answered():
        turn.finish(actor, job)
        return
    actor.kill()
    turn.look()


def kill_again(world: World, tally: Tally, rng: random.Random) -> None:
    """Kill the first runner at a point, then one or two of its successors."""
    while not tally.done:
        turn = TurnUnderFault.begin(world, rng.choice(list(SCENARIOS.values())), rng)
        turn.run(turn.post_job(rng.randrange(7, 26)))
        for _ in range(rng.choice((1, 1, 2))):
            row = turn.row()
            if row is None or turn.ended():
                break
            world.expire_lease(row["id"])
            turn.run(turn.deliver_job(rng.randrange(0, 32)))
        turn.bring_to_end()
        tally.add(world, turn)
