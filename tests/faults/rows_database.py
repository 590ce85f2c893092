"""Faults of the database: a kill and restart, ended backends, and connections cut at a commit.

The stored turn must equal the client's answer.
"""

import os
import random
import signal
import time
from contextlib import suppress
from dataclasses import replace

from local import postgres_files
from shared.names import Role
from tests.faults.actor import Answer
from tests.faults.checks import Finding
from tests.faults.cut_proxy import Cut, Where
from tests.faults.matrix import Tally
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.turn import TurnUnderFault
from tests.faults.world import World

_LONGEST_S = 0.12
_WHERE: tuple[Where, ...] = ("before", "at", "after")
_TERMINATE = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = %s"


def _any(rng: random.Random) -> Scenario:
    return rng.choice(list(SCENARIOS.values()))


def kill_server(world: World, tally: Tally, rng: random.Random) -> None:
    """Kill every process of the server at once, at a random time."""
    while not tally.done:
        turn = TurnUnderFault.begin(world, _any(rng), rng)
        actor = turn.actor()
        actor.send(turn.post_job())
        time.sleep(rng.uniform(0, _LONGEST_S))
        for pid in (world.server_pid, *postgres_files.processes_of(world.cluster)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        answer = actor.wait()
        actor.kill()
        world.restart_server()
        if isinstance(answer, Answer):
            turn.told.append(answer)
        turn.bring_to_end()
        tally.add(world, turn)


def terminate(world: World, tally: Tally, rng: random.Random) -> None:
    """Terminate the backend of a request's or a worker's runner at a point."""
    while not tally.done:
        turn = TurnUnderFault.begin(world, _any(rng), rng)
        job = turn.post_job(rng.randrange(0, 32), "pause")
        if turn.scenario.later:
            turn.run(replace(job, at=None))
            job = turn.deliver_job(rng.randrange(0, 32), "pause")
        actor = turn.actor()
        actor.send(job)
        event = actor.wait()
        kind = "answered before"
        if not isinstance(event, Answer):
            kind = "terminated"
            world.rows(_TERMINATE, Role.APP)
            actor.go_on()
            turn.finish(actor, job)
        else:
            world.give_back(actor)
            if job.function == "turns":
                turn.told.append(event)
        turn.bring_to_end()
        # A turn that ended before its point does not count as a round.
        if kind == "terminated":
            tally.add(world, turn, more=_unkept(turn))


def cut(world: World, tally: Tally, rng: random.Random) -> None:
    """Cut the runner's connection before, at and after a commit."""
    while not tally.done:
        turn = TurnUnderFault.begin(world, _any(rng), rng)
        where = _WHERE[tally.rounds % len(_WHERE)]
        job = replace(turn.post_job(), cut=Cut(rng.randrange(1, 6), where))
        if turn.scenario.later and rng.random() < 0.5:
            turn.run(turn.post_job())
            job = replace(turn.deliver_job(), cut=Cut(rng.randrange(1, 8), where))
        actor = turn.actor()
        actor.send(job)
        event = actor.wait()
        # The process would go on through its proxy.
        actor.kill()
        if isinstance(event, Answer) and job.function == "turns":
            turn.told.append(event)
        turn.bring_to_end()
        tally.add(world, turn, kind=where, more=_unkept(turn))


def _unkept(turn: TurnUnderFault) -> list[Finding]:
    """Check that the outcome of every sent call is kept, because the process lives and can connect again."""
    unheard = turn.world.rows("SELECT call_id FROM llm_calls WHERE finished_at IS NULL")
    sent = {request["client_request_id"] for request in turn.requests}
    return [
        ("lost outcome", f"the outcome of call {row['call_id']} was lost")
        for row in unheard
        if str(row["call_id"]) in sent
    ]
