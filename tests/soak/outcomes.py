"""Random outcomes of a provider, nearly a third of them bad: every turn ends, and the ledger equals the provider's log.

Turns of every mode run in parallel in processes with the real handlers. After each batch every turn in it is examined,
every invariant is checked, and the reconciler reads the provider's log.
"""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from uuid import UUID

from tests.faults.actor import Job
from tests.faults.checks import Finding, broken_invariants, examine_turn
from tests.faults.reconciled import settle
from tests.faults.rows_streams import FAULTS
from tests.faults.scenarios import HELPERS, Scenario
from tests.faults.turn import TurnUnderFault
from tests.faults.world import World
from tests.soak.row import Amount, Outcome
from tests.support.fake_provider import moods
from tests.support.fake_provider.moods import Mood, Received

BAD_SHARE = 0.3
_SIDE_BY_SIDE = 8
_BATCH = 200
# How long the reader of a stream pauses after each piece, in seconds.
_READS_S = (0.0, 0.0, 0.01, 0.05)
# A call's timeout in seconds, and a longer time.
_MAX_CALL_S, _TOO_LONG_S = 0.5, 1.0
BAD: Mapping[str, Sequence[Mood]] = MappingProxyType(
    {
        "throttled": [moods.status(429, retry_after=0.01), moods.status(429, retry_after=0)],
        "5xx": [moods.status(code) for code in (500, 502, 503, 504, 529)],
        "timeout": [moods.slow(_TOO_LONG_S), moods.status(408)],
        "reset": [moods.reset_before_answer(), moods.close_without_answer(), moods.ok_then_close()],
        "malformed": [moods.html_200(), moods.raw({}), moods.raw([]), moods.raw_nul(), moods.cut_short()],
        "empty": [moods.empty()],
        "truncated": [moods.length(), moods.length("")],
        "filtered": [moods.content_filter(), moods.content_filter("Half of")],
        "refused": [moods.refusal()],
        "4xx": [moods.too_long(), *(moods.status(code) for code in (400, 401, 403, 404, 422, 424))],
        "in mid-stream": [mood for name, mood in FAULTS.items() if "stall" not in name],
        "usage missing": [moods.no_usage(), moods.ok("An answer.", usage={"prompt_tokens": None})],
        "usage damaged": [moods.ok("An answer.", usage={"completion_tokens": 2**62, "prompt_tokens": 1})],
    }
)
_LONG = "@writer @critic @researcher @nobody " + "word " * 90
_MESSAGES = ("hello", "@writer hello", "@critic @researcher hello", _LONG)


@dataclass
class RandomOutcomes:
    """Chooses the provider's next answer: a bad one with the probability BAD_SHARE, or the usual one."""

    seed: str
    chosen: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.chosen = random.Random(self.seed)

    def __call__(self, _: Received) -> Mood | None:
        if self.chosen.random() >= BAD_SHARE:
            return None
        return self.chosen.choice(BAD[self.chosen.choice([*BAD])])


@dataclass
class _Lane:
    """A client that takes a few turns in a session and then goes on to another one."""

    world: World
    rng: random.Random
    session: tuple[UUID, str, str] | None = None

    def job(self, turn: TurnUnderFault) -> Job:
        """Post the turn. Half of the clients watch it, and some of these read slowly."""
        return turn.post_job(live=self.rng.random() < 0.5, read_s=self.rng.choice(_READS_S))

    def next(self) -> TurnUnderFault:
        if self.session is None or self.rng.random() < 0.25:
            mode = self.rng.choice(["manual", "tag", "roundtable", "orchestrator", "council"])
            fan_out = self.rng.choice(["sequential", "parallel"])
            self.session = (self.world.make_session(mode, fan_out), mode, fan_out)
        session_id, mode, fan_out = self.session
        scenario = Scenario(self.rng.choice(_MESSAGES), mode, fan_out, later=self.rng.random() < 0.1)
        key = f"key-{self.rng.getrandbits(64):016x}"
        return TurnUnderFault(self.world, scenario, key, session_id, {"max_call_s": _MAX_CALL_S})


def run(amount: Amount) -> Outcome:
    rng = random.Random(amount.seed)
    seen = _Seen()
    with World(amount.directory) as world:
        for begun in range(0, amount.wanted, _BATCH):
            world.requests()
            world.set_moods(HELPERS)
            world.let_choose(RandomOutcomes(f"{amount.seed}:{begun}"))
            seen.add(world, list(_batch(world, rng, min(_BATCH, amount.wanted - begun))))
            world.renew()
    return Outcome(seen.turns, seen.found, seen.figures())


def _batch(world: World, rng: random.Random, number: int) -> Iterator[TurnUnderFault]:
    lanes = [_Lane(world, rng) for _ in range(_SIDE_BY_SIDE)]
    for begun in range(0, number, _SIDE_BY_SIDE):
        turns = [lane.next() for lane in lanes[: number - begun]]
        _side_by_side(lanes, turns)
        for turn in turns:
            turn.resume()
            if not turn.ended():
                turn.findings.append(("stuck", f"turn {turn.key} has not ended"))
        # The client repeats its request.
        _side_by_side(lanes, turns)
        yield from turns


def _side_by_side(lanes: Sequence[_Lane], turns: Sequence[TurnUnderFault]) -> None:
    posted = [(turn, turn.actor(), lane.job(turn)) for lane, turn in zip(lanes, turns, strict=False)]
    for _, actor, job in posted:
        actor.send(job)
    for turn, actor, job in posted:
        answer = turn.finish(actor, job)
        if answer is None or answer.status not in (201, 202):
            turn.findings.append(("told", f"a client of {turn.key} was answered {answer and answer.status}"))


@dataclass
class _Seen:
    """The results of all batches."""

    turns: int = 0
    calls: int = 0
    settled: int = 0
    found: list[Finding] = field(default_factory=list)
    ended: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)

    def add(self, world: World, turns: list[TurnUnderFault]) -> None:
        """Examine a batch, and reconcile it."""
        requests = world.requests()
        owners = world.rows("SELECT call_id::text, t.idempotency_key FROM llm_calls c JOIN turns t ON t.id = c.turn_id")
        turn_of = {row["call_id"]: row["idempotency_key"] for row in owners}
        for turn in turns:
            turn.requests = [r for r in requests if turn_of.get(r["client_request_id"]) == turn.key]
            self.found += examine_turn(turn)
        lost = sum(request["client_request_id"] not in turn_of for request in requests)
        self.found += [("lost", f"the provider has {lost} calls that the journal has not")] if lost else []
        self.found += broken_invariants(world)
        self.turns, self.calls = self.turns + len(turns), self.calls + len(requests)
        self.ended.update(row["status"] for row in world.rows("SELECT status FROM turns"))
        self.outcomes.update(row["status"] for row in world.rows("SELECT status FROM llm_calls"))
        settled, found = settle(world)
        self.settled += settled
        self.found += found

    def figures(self) -> dict[str, str]:
        statuses = {**self.ended, **{f"calls {status}": number for status, number in self.outcomes.items()}}
        counted = {"provider calls": self.calls, **statuses, "settled from suspense": self.settled}
        return {name: f"{number:,}" for name, number in counted.items()}
