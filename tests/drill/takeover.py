"""Let one release begin a turn and another one finish it, then examine the turn."""

import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.db.api.budgets import release_leftover_holds
from tests.drill.cases import Case
from tests.drill.release import Environment, Release
from tests.faults import events
from tests.faults.actor import Answer, Job, TookTooLong
from tests.faults.checks import Finding, examine
from tests.faults.scenarios import HELPERS, SCENARIOS
from tests.faults.turn import MOST_DELIVERIES, TurnUnderFault
from tests.faults.world import Rule, World
from tests.support.fake_provider import moods

_ASKED_S = 30.0
_SWEEP_S = 5.0


@dataclass
class Takeover:
    """A migration may run between `begin` and `finish`."""

    case: Case
    turn: TurnUnderFault
    _stopped: Environment | None = field(default=None, repr=False)

    @classmethod
    def of(cls, case: Case, world: World, rng: random.Random) -> "Takeover":
        return cls(case, TurnUnderFault.begin(world, case.scenario, rng))

    def begin(self, release: Release) -> None:
        if self.case.fate == "left":
            self._set_moods()
            ask(self.turn, release, self.turn.post_job())
        else:
            self._break_off(release)
        # The log may have later requests of other running turns.
        self.turn.requests += self.turn.world.requests()
        if self.turn.row() is None or self.turn.ended():
            told = [(answer.status, answer.body[:300]) for answer in self.turn.told]
            self.turn.findings.append(("drill", f"nothing was left to be finished: {told}"))

    def finish(self, release: Release, *readers: Release) -> list[Finding]:
        """Finish the turn and let `readers` answer for it. Returns the findings."""
        self._set_moods()
        deliver(self.turn, release)
        if self._stopped is not None:
            # Its lease ended while it was stopped. Now the provider answers its call.
            self._stopped.wake()
            self.turn.world.release()
            self._tell_late(self._stopped)
        for reader in readers:
            read(self.turn, reader)
        self.turn.requests += self.turn.world.requests()
        return _examined(self.turn)

    def _set_moods(self) -> None:
        self.turn.world.set_moods([*self.case.scenario.rules, *HELPERS])

    def _break_off(self, release: Release) -> None:
        world = self.turn.world
        world.set_moods([Rule(moods.hold(), self.case.call), *self.case.scenario.rules, *HELPERS])
        environment = release.environment()
        environment.start(self.turn.post_job())
        asked = self._wait_until_asked(environment)
        if asked and self.case.fate == "stopped":
            environment.stop()
            self._stopped = environment
        elif asked:
            environment.kill()
            world.release()
        else:
            # No call was interrupted.
            world.release()
            self._tell_late(environment)
            told = [(answer.status, answer.body[:300]) for answer in self.turn.told]
            self.turn.findings.append(("refused", f"{release.name} did not make the call: {told}"))
        self.turn.look()

    def _wait_until_asked(self, environment: Environment) -> bool:
        """Wait for the case's call. Returns False if the release answers without it, or takes too long."""
        deadline = time.monotonic() + _ASKED_S
        while time.monotonic() < deadline:
            answered = environment.has_answered()
            self.turn.requests += self.turn.world.requests()
            if any(_is_for(self.case.call, request) for request in self.turn.requests):
                return True
            if answered:
                return False
            time.sleep(0.002)
        return False

    def _tell_late(self, environment: Environment) -> None:
        try:
            tell(self.turn, environment.wait())
        except TookTooLong:
            self.turn.findings.append(("stuck", "a process did not come back"))


def converse(world: World, releases: tuple[Release, Release], rng: random.Random) -> list[Finding]:
    """Let the releases take the turns of one session alternately. One writes a summary that the other one reads."""
    first = TurnUnderFault.begin(world, SCENARIOS["summary"], rng)
    scenarios = [SCENARIOS[name] for name in ("summary", "sequential", "summary", "one agent")]
    found: list[Finding] = []
    for number, scenario in enumerate(scenarios):
        turn = TurnUnderFault(world, scenario, f"{first.key}-{number}", first.session_id)
        ask(turn, releases[number % 2], turn.post_job())
        for reader in releases:
            read(turn, reader)
        turn.requests += world.requests()
        found += _examined(turn)
    if not world.rows("SELECT FROM summaries WHERE session_id = %s", first.session_id):
        found.append(("drill", "nobody wrote a summary"))
    return found


def deliver(turn: TurnUnderFault, release: Release) -> None:
    """Deliver the turn until it has ended, each time after its lease."""
    for _ in range(MOST_DELIVERIES):
        row = turn.row()
        if row is None or turn.ended():
            return
        turn.world.expire_lease(row["id"])
        try:
            answer = release.run(turn.deliver_job())
        except TookTooLong:
            turn.findings.append(("stuck", f"{release.name}'s worker did not come back"))
            return
        turn.look()
        if answer.returned != {"batchItemFailures": []}:
            turn.findings.append(("refused", f"{release.name}'s worker: {answer.returned}"))
    if not turn.ended():
        turn.findings.append(("stuck", f"turn {turn.key} after {MOST_DELIVERIES} deliveries"))


def read(turn: TurnUnderFault, release: Release) -> None:
    """Read the turn by its key, which returns the stored bytes, and by its id."""
    row = turn.row()
    if row is None:
        return
    ask(turn, release, Job("turns", turn.post_job().event))
    try:
        answer = release.run(Job("api", events.request("GET", f"/turns/{row['id']}")))
    except TookTooLong:
        turn.findings.append(("stuck", f"{release.name}'s api did not come back"))
        return
    if answer.status != 200 or json.loads(answer.body) != json.loads(row["response"] or "null"):
        turn.findings.append(("told", f"{release.name} reads {answer.status} {answer.body[:200]}"))


def _examined(turn: TurnUnderFault) -> list[Finding]:
    """Return the findings after a minute's sweep, which frees the holds that the release before leaves behind."""
    release_leftover_holds(turn.world.ops, _SWEEP_S)
    return examine(turn)


def ask(turn: TurnUnderFault, release: Release, job: Job) -> None:
    """Post the turn, or repeat its request with the same key."""
    try:
        tell(turn, release.run(job))
    except TookTooLong:
        turn.findings.append(("stuck", f"{release.name}'s {job.function} did not come back"))


def tell(turn: TurnUnderFault, answer: Answer) -> None:
    turn.look()
    turn.told.append(answer)


def _is_for(prompt: str, request: Mapping[str, object]) -> bool:
    messages = request["messages"]
    assert isinstance(messages, list)
    return any(prompt in message["content"] for message in messages if message["role"] == "system")
