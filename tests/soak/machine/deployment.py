"""The deployment that the machine works on: real handlers in processes that are killed and held up."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal
from uuid import UUID

from tests.faults import events
from tests.faults.actor import AMPLE_S, Actor, Answer, Job, Paused, TookTooLong
from tests.faults.points import Action, Target
from tests.faults.scenarios import CRITIC, HELPERS, RESEARCHER, ROUTING, SUMMARY_TEXT, WRITER
from tests.faults.world import Rule, World
from tests.soak.machine.model import ACTIVE_TURNS, DEFAULT_ALLOWANCE_USD, DEFAULT_CAP_USD, MOODS, Moods

DAY_S = 24 * 60 * 60
# A call's timeout in seconds. Some calls use it up.
_MAX_CALL_S = 0.5
_SETTINGS: Mapping[str, object] = {
    "max_call_s": _MAX_CALL_S,
    "tenant_active_turns": ACTIVE_TURNS,
    "default_cap_usd": DEFAULT_CAP_USD,
    "platform_allowance_usd": DEFAULT_ALLOWANCE_USD,
}
# Planning every statement again would take as long as many steps.
_RUNS_TO_A_PLAN = 50
_ASKED: Mapping[str, str] = {
    "writer": WRITER,
    "critic": CRITIC,
    "researcher": RESEARCHER,
    "routing": ROUTING,
    "summary": SUMMARY_TEXT,
}
Function = Literal["admin", "api", "sweeper", "turns", "worker"]


@dataclass(frozen=True)
class Fate:
    """The fate of a process: killed at its point number `kill`, held up at the point `pause`, or short of time.

    `left` is the remaining time at each question. A process that holds locks cannot be held up, because others would
    wait. A client watches the turn `live`, and reads a piece every `read_s` seconds.
    """

    PAUSES: ClassVar[tuple[str, ...]] = (
        *(f"before {step}" for step in ("accept", "ask", "call", "publish", "record", "release")),
        *(f"after {step}" for step in ("accept", "ask", "call", "publish", "record", "release")),
        "sent call",
    )

    kill: int | None = None
    pause: str | None = None
    left: tuple[float, ...] = ()
    live: bool = False
    read_s: float = 0.0

    def job(self, function: Function, event: dict[str, Any], clock_s: int) -> Job:
        at: Target | None = (self.pause, 1) if self.pause else self.kill
        action: Action = "pause" if self.pause else "kill"
        return Job(function, event, at, action, self.left or (AMPLE_S,), clock_s=clock_s, read_s=self.read_s)


Then = Callable[[Answer], None]


class Deployment:
    """`held` are the processes that are held up, each with the handler of its answer."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.held: list[tuple[Actor, Then]] = []
        self._begun = 0

    def begin(self) -> None:
        """Begin with an empty deployment."""
        self.world.renew(plans=self._begun % _RUNS_TO_A_PLAN == 0)
        self._begun += 1
        self.world.owner.execute(b"DELETE FROM agents; DELETE FROM agent_versions")
        self.world.make_agents()
        self.world.requests()

    def drop(self) -> None:
        """End the processes that are held up."""
        for actor, _ in self.held:
            actor.kill()
        self.held.clear()

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        role: str = "member",
        function: Function = "api",
        clock_s: int = 0,
    ) -> Answer:
        """Return a function's answer to a request of the API."""
        event = events.request(method, path, body=body, role=role)
        answer = self.run(Job(function, event, clock_s=clock_s), lambda _: None)
        assert answer is not None, f"{method} {path} was not answered"
        return answer

    def run(self, job: Job, then: Then) -> Answer | None:
        """Return the answer; None if the process was killed or is held up. `then` gets the later answer of a held
        process.
        """
        actor = self.world.actor(**_SETTINGS)
        actor.send(job)
        event = actor.wait()
        if isinstance(event, Paused):
            self.held.append((actor, then))
        else:
            self.world.give_back(actor)
        return event if isinstance(event, Answer) else None

    def go_on(self, which: int) -> None:
        actor, then = self.held.pop(which % len(self.held))
        actor.go_on()
        event = actor.wait()
        self.world.give_back(actor)
        if not isinstance(event, Answer):
            raise TookTooLong
        then(event)

    def let_time_pass(self, turn_id: UUID) -> None:
        self.world.owner.execute(
            b"""UPDATE turns SET dispatch_after = clock_timestamp() - interval '1 second',
                lease_expires_at = CASE status WHEN 'running' THEN clock_timestamp() - interval '1 second' END
            WHERE id = %s AND status IN ('accepted', 'running')""",
            (turn_id,),
        )

    def set_moods(self, mood: Moods) -> None:
        rules = [Rule(MOODS[name][0], _ASKED[who], None if always else 1) for who, (name, always) in mood.items()]
        self.world.set_moods([*rules, *HELPERS])

    def restore(self) -> None:
        """Restore the agents and the budget of the beginning."""
        self.world.owner.execute(b"DELETE FROM agents; DELETE FROM agent_versions; DELETE FROM budget_limits")
        self.world.make_agents()
