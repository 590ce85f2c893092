"""Runs each rule against a deployment and its model, and looks at everything stored after each step."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar
from uuid import UUID

from hypothesis.stateful import RuleBasedStateMachine, invariant

from shared.db.engine import Row
from tests.faults.actor import Answer, Job
from tests.faults.checks import Finding
from tests.faults.live_checks import unlike
from tests.faults.turn import ENDED
from tests.soak.machine.deployment import Deployment, Then
from tests.soak.machine.model import Expected, Model, Session, Turn
from tests.soak.machine.watch import Watch


class Found(AssertionError):
    """The kinds and texts of findings."""

    def __init__(self, found: Sequence[Finding]) -> None:
        self.found = found
        super().__init__("\n".join(f"{kind}: {text}" for kind, text in found))


@dataclass
class Log:
    """The figures of all runs of a machine. `found` has the first findings, before Hypothesis made them smaller."""

    runs: int = 0
    steps: int = 0
    answers: dict[str, int] = field(default_factory=dict)
    found: list[Finding] = field(default_factory=list)

    def count(self, what: str, times: int = 1) -> None:
        self.answers[what] = self.answers.get(what, 0) + times


class Witness(RuleBasedStateMachine):
    """`deployment` and `log` belong to all runs."""

    deployment: ClassVar[Deployment]
    log: ClassVar[Log]

    def __init__(self) -> None:
        super().__init__()
        self.deployment.begin()
        self.model, self.watch = Model(), Watch(self.deployment.world)
        self.log.runs += 1

    def _fail(self, *found: Finding) -> None:
        if found:
            self.log.found = self.log.found or list(found)
            raise Found(found)

    def _run(self, job: Job, then: Then) -> Answer | None:
        """Return the answer; None if the process was killed or is held up. `then` gets the later answer.

        A process that lives leaves no call without its outcome.
        """
        mine: set[UUID] = set()

        def late(answer: Answer) -> None:
            self._kept(mine)
            self._heard(answer)
            then(answer)

        answer = self.deployment.run(job, late)
        mine |= {row["call_id"] for row in self._unfinished()} - self.watch.now.calls.keys()
        if answer is not None:
            self._kept(mine)
            self._heard(answer)
        return answer

    def _heard(self, answer: Answer) -> None:
        """Compare every event of a stream with the stored turn, until the turn's end."""
        if answer.heard is None:
            return
        self.log.count("live")
        row = self._row(UUID(answer.heard.events[0].body["id"]))
        if row["response"] is not None:
            self._fail(*unlike(row, answer.heard))

    def _unfinished(self) -> list[Row]:
        """Return the calls without a known outcome. The reconciler may have settled some of them."""
        return self.deployment.world.rows(
            "SELECT call_id FROM llm_calls WHERE finished_at IS NULL AND status IN ('intent', 'unknown')"
        )

    def _kept(self, calls: set[UUID]) -> None:
        if lost := calls & {row["call_id"] for row in self._unfinished()}:
            self._fail(("lost outcome", f"the process that made {lost} has answered, and they are open"))

    def _check(self, answer: Answer, *expected: Expected) -> None:
        """Check that the answer is one of the expected ones."""
        self.log.count(str(answer.status))
        body = json.loads(answer.body) if answer.body else {}
        for one in expected:
            about = one.turn is None or str(one.turn.id) in (body.get("id"), body.get("active_turn_id"))
            if answer.status == one.status and about and one.code in (None, body.get("code")):
                return
        self._fail(("told", f"{answer.status} {answer.body[:300]} where {expected} was expected"))

    @invariant()
    def nothing_is_wrong(self) -> None:
        self.log.steps += 1
        self._fail(*self.watch.look())
        stored = self.watch.now.turns
        if strangers := stored.keys() ^ self.model.turns.keys():
            self._fail(("told", f"turns {strangers} are stored and not known, or the other way round"))
        for turn in self.model.turns.values():
            row = stored[turn.id]
            if turn.active != (row["status"] not in ENDED):
                self._fail(("told", f"turn {turn.id} should be {'active' if turn.active else 'over'}: {row['status']}"))
            if not turn.active and not turn.session.deleted and turn.response != row["response"]:
                self._fail(("told", f"turn {turn.id} answered {turn.response}, and has {row['response']}"))

    def _row(self, turn_id: UUID) -> Row:
        (row,) = self.deployment.world.rows(
            "SELECT *, lease_expires_at >= clock_timestamp() AS runs, dispatch_after < clock_timestamp() AS due "
            "FROM turns WHERE id = %s",
            turn_id,
        )
        return row

    def _refresh(self, turn: Turn) -> None:
        """Copy the state of a turn that the model cannot predict."""
        row = self._row(turn.id)
        turn.active, turn.response = row["status"] not in ENDED, row["response"]
        turn.runs, turn.due = bool(row["runs"]), bool(row["due"])

    def _session(self, which: int) -> Session:
        """Choose a session, usually one that exists."""
        living = [session for session in self.model.sessions if not session.deleted]
        among = living if living and which < 5 else self.model.sessions
        return among[which % len(among)]

    def _turn(self, which: int) -> Turn:
        """Choose one of the newest turns."""
        turns = list(self.model.turns.values())
        return turns[-1 - which % len(turns)]
