"""Takes one turn under a fault: posts it, lets the worker end it, and repeats its request by key."""

import random
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from shared.db.engine import Row
from shared.graph_names import is_graph
from tests.faults import events
from tests.faults.actor import AMPLE_S, Actor, Answer, Died, Job, TookTooLong
from tests.faults.heard import Heard
from tests.faults.points import Action, Target
from tests.faults.scenarios import HELPERS, Scenario
from tests.faults.world import World

# A turn that has not ended after this number of deliveries, each after its lease, is stuck.
MOST_DELIVERIES = 8
# The most requests in which a client that follows an ended turn must hear its end.
_MOST_ANSWERS = 4
_LOOK = """SELECT id, status, plan, response IS NOT NULL
        OR EXISTS (SELECT FROM replies WHERE turn_id = turns.id)
        OR EXISTS (SELECT FROM usage_ledger WHERE turn_id = turns.id) AS shows
    FROM turns WHERE idempotency_key = %s"""
ENDED = ("completed", "failed", "cancelled")


@dataclass
class TurnUnderFault:
    """`told` are the answers that a client got with the key. `streams` are those that were streams, including broken
    ones. `followed` has the events after the first client reconnected.

    `plans` are the stored plans, one for each look. `findings` are (kind, text) of errors on the way.
    """

    world: World
    scenario: Scenario
    key: str
    session_id: UUID
    settings: dict[str, object] = field(default_factory=dict)
    told: list[Answer] = field(default_factory=list)
    streams: list[Heard] = field(default_factory=list)
    followed: Heard | None = None
    plans: list[Any] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    # Its session was deleted, so clients no longer hear of the turn.
    deleted: bool = False
    findings: list[tuple[str, str]] = field(default_factory=list)
    # Its client reads too slowly to hear every piece.
    lags: bool = False

    @classmethod
    def begin(cls, world: World, scenario: Scenario, rng: random.Random, **settings: object) -> "TurnUnderFault":
        world.requests()
        world.set_moods([*scenario.rules, *HELPERS])
        world.set_allowance(scenario.allowance_usd)
        key = f"key-{rng.getrandbits(64):016x}"
        return cls(world, scenario, key, world.make_session(scenario.mode, scenario.fan_out), settings)

    def actor(self) -> Actor:
        return self.world.actor(**self.settings)

    def post_job(
        self,
        at: Target | None = None,
        action: Action = "kill",
        *,
        live: bool = False,
        linger_s: float = 0.0,
        read_s: float = 0.0,
        sleeps: bool = False,
    ) -> Job:
        scenario = self.scenario
        event = events.post_turn(self.session_id, scenario.message, self.key, later=scenario.later, live=live)
        return Job("turns", event, at, action, scenario.seconds_left, linger_s=linger_s, read_s=read_s, sleeps=sleeps)

    def deliver_job(self, at: Target | None = None, action: Action = "kill") -> Job:
        row = self.row()
        assert row is not None
        return Job("graphs" if is_graph(row["mode"]) else "worker", events.deliver(row["id"]), at, action)

    def run(self, job: Job) -> Answer | None:
        """Return the answer, or None if the process died first."""
        actor = self.actor()
        actor.send(job)
        return self.finish(actor, job)

    def finish(self, actor: Actor, job: Job) -> Answer | None:
        """Return the result of a job that was sent."""
        try:
            event = actor.wait()
        except TookTooLong:
            self.findings.append(("stuck", f"the {job.function} did not come back"))
            return None
        self.world.give_back(actor)
        self.look()
        if isinstance(event, Answer | Died) and event.heard is not None:
            self.streams.append(event.heard)
        if not isinstance(event, Answer):
            return None
        if job.function == "turns":
            self.told.append(event)
        return event

    def row(self) -> Row | None:
        rows = self.world.rows("SELECT * FROM turns WHERE idempotency_key = %s", self.key)
        return rows[0] if rows else None

    def look(self) -> None:
        """Note everything visible of the turn in one read, because a process may be publishing it."""
        rows = self.world.rows(_LOOK, self.key)
        if not rows:
            return
        (row,) = rows
        if row["plan"] is not None:
            self.plans.append(row["plan"])
        if row["shows"] and row["status"] not in ENDED:
            self.findings.append(("half", f"turn {row['id']} is {row['status']} and shows something"))

    def ended(self) -> bool:
        row = self.row()
        return row is not None and row["status"] in ENDED

    def resume(self, most: int = MOST_DELIVERIES) -> None:
        """Deliver the turn until it has ended, each time after its lease."""
        self.look()
        for _ in range(most):
            row = self.row()
            if row is None or row["status"] in ENDED:
                return
            self.world.expire_lease(row["id"])
            self.run(self.deliver_job())

    def follow(self) -> None:
        """Follow the turn from the break of the first stream, once it has ended."""
        row = self.row()
        assert row is not None
        heard = seen = self.streams[0] if self.streams else Heard((), is_whole=False)
        answer = None
        for _ in range(_MOST_ANSWERS):
            answer = self.run(Job("api", events.follow_turn(row["id"], heard.last_id)))
            if answer is None or answer.status != 200:
                break
            more = Heard.read(answer.body.encode(), is_whole=True)
            heard = Heard(heard.events + more.events, is_whole=True)
        if answer is None or answer.status != 204:
            self.findings.append(("told", f"turn {row['id']} was not followed to its end: {answer and answer.status}"))
        self.followed = Heard(heard.events[len(seen.events) :], is_whole=True)

    def bring_to_end(self) -> None:
        """Deliver the turn as the queue does, then repeat the client's request by key until it gets the end."""
        for _ in range(3):
            self.resume()
            if self.row() is not None and not self.ended():
                self.findings.append(("stuck", f"turn {self.key} after {MOST_DELIVERIES} deliveries"))
                break
            answer = self.run(Job("turns", self.post_job().event, seconds_left=(AMPLE_S,)))
            if answer is not None and (answer.status == 201 or self.deleted):
                break
        else:
            self.findings.append(("stuck", f"key {self.key} brings no answer"))
        self.requests += self.world.requests()
