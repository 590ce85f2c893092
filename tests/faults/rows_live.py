"""Faults while a client watches its turn: every event that it was shown is stored, and it can go on from there."""

import json
import random
import secrets
import time

from functions.turns.feed import MAX_WAITING_BYTES
from tests.faults.actor import Answer
from tests.faults.checks import Finding, broken_invariants
from tests.faults.heard import Heard
from tests.faults.matrix import Tally
from tests.faults.scenarios import CRITIC, RESEARCHER, SCENARIOS, WRITER, Scenario
from tests.faults.turn import ENDED, TurnUnderFault
from tests.faults.world import World
from tests.support.fake_provider import moods
from tests.support.fake_provider.moods import Mood, Received

_NAMES = ("roundtable", "orchestrator", "parallel")
# Seconds between two words of an answer.
_PAUSE_S = 0.002
# How long a killed process goes on: not at all, or until its client has heard the rest.
_LINGERS_S = (0.0, 0.02)
# Three such answers exceed the first piece of a reader and its process's buffer.
_LONG = " ".join(["word" * 250] * 200)
_MOST_KEPT = 2 * MAX_WAITING_BYTES
# The most seconds that a turn may take while its reader sleeps.
_PATIENCE_S = 6.0
_Point = tuple[str, int]


def never_twice_alike(received: Received) -> Mood | None:
    """Give an agent another answer each time that it is asked, word by word."""
    if not any(agent in received.text_of("system") for agent in (WRITER, CRITIC, RESEARCHER)):
        return None
    return moods.paced(f"This is answer {secrets.token_hex(8)} to that.", _PAUSE_S)


def killed_live(world: World, tally: Tally, rng: random.Random) -> None:
    """Kill at every point of a watched turn: of the protocol, of a provider's stream and of its client's stream."""
    points: list[tuple[str, _Point]] = []
    while not tally.done:
        if not points:
            points = _points(world, tally.wanted, rng)
        name, at = points.pop()
        turn = _begin(world, SCENARIOS[name], rng)
        answer = turn.run(turn.post_job(at, live=True, linger_s=rng.choice(_LINGERS_S)))
        if not turn.streams:
            turn.streams.append(Heard((), is_whole=False))
        found = broken_invariants(world) + _ask_by_key(turn)
        turn.bring_to_end()
        turn.follow()
        # Some orders of parallel calls lack some points.
        tally.add(world, turn, kind="killed" if answer is None else "not met", more=found)


def asleep(world: World, tally: Tally, rng: random.Random) -> None:
    """Let the client take the first piece and then none until the turn has ended. The process keeps few pieces
    for it.
    """
    while not tally.done:
        turn = TurnUnderFault.begin(world, SCENARIOS[rng.choice(_NAMES)], rng)
        turn.lags = True
        world.let_choose(at_length)
        actor, job = turn.actor(), turn.post_job(live=True, sleeps=True)
        actor.send(job)
        found: list[Finding] = []
        if not _ends(turn):
            found.append(("stuck", f"turn {turn.key} waits for its reader"))
        actor.go_on()
        answer = turn.finish(actor, job)
        if answer is None or answer.heard is None or answer.status != 201:
            found.append(("told", f"turn {turn.key} brought {answer and answer.status}"))
        else:
            kept = sum(len(event.body["text"].encode()) for event in answer.heard.named("reply.delta"))
            if not 0 < kept <= _MOST_KEPT:
                found.append(("kept", f"{kept} bytes of text were kept for the reader of turn {turn.key}"))
        turn.bring_to_end()
        turn.follow()
        tally.add(world, turn, more=found)


def at_length(received: Received) -> Mood | None:
    """Make each agent's answer nearly as long as the reader's buffer."""
    return moods.ok(_LONG) if never_twice_alike(received) else None


def _ends(turn: TurnUnderFault) -> bool:
    deadline = time.monotonic() + _PATIENCE_S
    while not turn.ended():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _begin(world: World, scenario: Scenario, rng: random.Random) -> TurnUnderFault:
    turn = TurnUnderFault.begin(world, scenario, rng)
    world.let_choose(never_twice_alike)
    return turn


def _points(world: World, wanted: int, rng: random.Random) -> list[tuple[str, _Point]]:
    """Return all points by name, in any order. A short run tries the points of one kind of turn."""
    points: list[tuple[str, _Point]] = []
    for name in rng.sample(_NAMES, len(_NAMES)):
        if len(points) >= wanted:
            break
        turn = _begin(world, SCENARIOS[name], rng)
        answer = turn.run(turn.post_job(live=True))
        assert isinstance(answer, Answer)
        turn.bring_to_end()
        points += [(name, (point, answer.trace[:at].count(point) + 1)) for at, point in enumerate(answer.trace)]
    rng.shuffle(points)
    return points


def _ask_by_key(turn: TurnUnderFault) -> list[Finding]:
    """Let the client post again and watch. It hears of the turn that the dead process left."""
    row = turn.row()
    answer = turn.run(turn.post_job(live=True))
    if row is None or answer is None or answer.heard is None:
        return [] if answer is not None and answer.heard is not None else [("told", f"{turn.key} brings no stream")]
    ended = row["status"] in ENDED
    names = [event.name for event in answer.heard.events]
    shown = {json.loads(event.data)["id"] for event in answer.heard.events}
    replayed = answer.returned["headers"].get("idempotency-replayed") == "true"
    expected = ["turn", "turn.ended" if ended else "turn.handed_over"]
    if names != expected or replayed != ended or shown != {str(row["id"])}:
        return [("told", f"the key of turn {row['id']}, {row['status']}, brought {names} of {shown}, {replayed=}")]
    return []
