"""Councils: SIGKILL at every point and again in recovery, and any outcome of any of their calls."""

import random
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from tests.faults.checks import Finding, broken_invariants
from tests.faults.matrix import Tally
from tests.faults.rows_kill import count_points
from tests.faults.rows_provider import MAX_CALL_S, OUTCOMES
from tests.faults.scenarios import CHAIR, CRITIC, RESEARCHER, REVIEW, SCENARIOS, WRITER
from tests.faults.turn import ENDED, TurnUnderFault
from tests.faults.world import Rule, World

# The system prompts of a council's members. The chair is also the writer.
_CALLS = (CHAIR, WRITER, CRITIC, RESEARCHER, REVIEW)
_NAMES = [name for name, scenario in SCENARIOS.items() if scenario.mode == "council"]
_ANSWER = re.compile(r'<quoted answer="(.)">\n(.*?)\n</quoted>', re.DOTALL)
_HOLD = """SELECT t.id, t.status, h.held_usd, asked.members, asked.chair_usd
    FROM turns t LEFT JOIN budget_holds h ON h.id = t.id AND h.reason = 'accepted' CROSS JOIN LATERAL (
        SELECT count(*) AS members, max(reserve_usd) FILTER (
            WHERE step = jsonb_array_length(t.plan -> 'selected_agent_keys') - 1 AND attempt = 1
        ) AS chair_usd
        FROM llm_calls WHERE turn_id = t.id AND purpose = 'agent'
    ) asked
    WHERE idempotency_key = %s"""


def kill_council(world: World, tally: Tally, rng: random.Random) -> None:
    """Kill at every point of every council once, in any order, then kill the next runner at another point."""
    points: list[tuple[str, int, int]] = []
    while not tally.done:
        if not points:
            for name in rng.sample(_NAMES, len(_NAMES)):
                posted, delivered = count_points(world, SCENARIOS[name], rng)
                points += [(name, 0, point) for point in range(posted)] + [(name, 1, at) for at in range(delivered)]
            rng.shuffle(points)
        name, leg, point = points.pop()
        turn = TurnUnderFault.begin(world, SCENARIOS[name], rng)
        turn.run(turn.post_job(point if leg == 0 else None))
        if leg == 1 and not turn.ended():
            turn.run(turn.deliver_job(point))
        found = [*broken_invariants(world), *_hold(turn)]
        row = turn.row()
        if row is not None and not turn.ended() and rng.random() < 0.5:
            world.expire_lease(row["id"])
            turn.run(turn.deliver_job(rng.randrange(0, 32)))
            found += _hold(turn)
        held = [each["held_usd"] for each in world.rows(_HOLD, turn.key) if each["members"]]
        turn.bring_to_end()
        tally.add(world, turn, kind=name, more=[*found, *_covered(turn, held), *_letters(turn)])


def fail_council(world: World, tally: Tally, rng: random.Random) -> None:
    """Give several of a council's calls any outcome: once, twice or always."""
    usual = SCENARIOS["council"]
    while not tally.done:
        wrong = [
            Rule(OUTCOMES[rng.choice(list(OUTCOMES))], when, rng.choice((1, 2, None)))
            for when in rng.sample(_CALLS, rng.randint(1, len(_CALLS)))
        ]
        scenario = replace(usual, rules=(*wrong, *usual.rules), allowance_usd=rng.choice((None, Decimal(0))))
        turn = TurnUnderFault.begin(world, scenario, rng, max_call_s=MAX_CALL_S)
        turn.run(turn.post_job())
        turn.bring_to_end()
        tally.add(world, turn, kind="within the allowance" if scenario.allowance_usd is None else "beyond it")


def _hold(turn: TurnUnderFault) -> Iterator[Finding]:
    """Check that the turn holds an amount for its chair from the first answers until the chair is asked."""
    for row in turn.world.rows(_HOLD, turn.key):
        due = row["status"] not in ENDED and row["chair_usd"] is None
        if due != (row["held_usd"] is not None):
            yield "hold", f"turn {row['id']}, {row['status']}, holds {row['held_usd']}: {row['chair_usd']}"


def _covered(turn: TurnUnderFault, held: list[object]) -> Iterator[Finding]:
    """Check that the amount covers the chair after the first answers."""
    for row in turn.world.rows(_HOLD, turn.key):
        for usd in held:
            if usd is not None and row["chair_usd"] is not None and usd < row["chair_usd"]:
                yield "hold", f"turn {row['id']} held {usd}, and its chair took {row['chair_usd']}"


def _letters(turn: TurnUnderFault) -> Iterator[Finding]:
    """Check that a letter stands for one answer in all reviews of a turn, whichever process asked for them."""
    answers: dict[str, set[str]] = defaultdict(set)
    for request in turn.requests:
        # A request that was cut off has no messages.
        texts = [message["content"] for message in request["messages"]]
        if texts and texts[0].startswith(REVIEW):
            for letter, text in _ANSWER.findall(texts[-1]):
                answers[letter].add(text)
    for letter, said in answers.items():
        if len(said) > 1:
            yield "letters", f"turn {turn.key} has {len(said)} answers under the letter {letter}"
