"""The machine: all rules, which Hypothesis puts into an order.

This file has the rules of the queue, the workers and operations. Those of clients are in files of their own.
"""

from io import BytesIO

from hypothesis.stateful import precondition, rule

from shared.reconciliation.plain_log import read_plain_log
from shared.reconciliation.reconcile import reconcile
from tests.faults import events
from tests.faults.actor import Answer, Job
from tests.faults.reconciled import settle
from tests.faults.turn import MOST_DELIVERIES
from tests.soak.machine import choices, model
from tests.soak.machine.deployment import Fate
from tests.soak.machine.model import Turn
from tests.soak.machine.posting import Posting
from tests.soak.machine.resources import Resources


class Machine(Resources, Posting):
    """All rules. At the end every held process goes on, every turn ends, and suspense is settled."""

    @precondition(lambda self: self.model.turns)
    @rule(which=choices.which, mood=choices.mood, clock_s=choices.clock_s)
    def deliver(self, which: int, mood: model.Moods, clock_s: int) -> None:
        self._deliver(self._turn(which), Fate(), mood, clock_s)

    @precondition(lambda self: self.model.active)
    @rule(which=choices.which, fate=choices.fate, mood=choices.mood, clock_s=choices.clock_s)
    def take_over(self, which: int, fate: Fate, mood: model.Moods, clock_s: int) -> None:
        """Let a worker claim the turn after its lease. The worker may be killed, held up, or short of time."""
        turn = self._active(which)
        self._let_time_pass(turn)
        self._deliver(turn, fate, mood, clock_s)

    @rule(which=choices.which, words=choices.words, fate=choices.held_up, mood=choices.mood)
    def overtake(self, which: int, words: tuple[str, ...], fate: Fate, mood: model.Moods) -> None:
        """Hold up a process until a worker has ended its turn, then let it go on."""
        session, held = self._session(which), len(self.deployment.held)
        self._post(session, model.Body(words), None, fate, mood, 0, later=False)
        self.nothing_is_wrong()
        if len(self.deployment.held) == held:
            return
        if turn := self.model.active_in(session):
            self._let_time_pass(turn)
            self._deliver(turn, Fate(), {}, 0)
        self.deployment.go_on(held)

    def _deliver(self, turn: Turn, fate: Fate, mood: model.Moods, clock_s: int) -> None:
        self.deployment.set_moods(mood)
        job = fate.job("worker", events.deliver(turn.id), clock_s)
        answer = self._run(job, lambda late: self._delivered(late, turn, late=True))
        claimed = turn.active and not turn.runs
        if claimed:
            self._refresh(turn)
        if answer is None:
            return
        self._delivered(answer, turn)
        if claimed and turn.active and not fate.left:
            self._fail(("stuck", f"turn {turn.id} was delivered, and has not ended"))

    def _delivered(self, answer: Answer, turn: Turn, *, late: bool = False) -> None:
        """Check that only the message of a turn that had to be given up returns to the queue. A `late` worker may not
        know.
        """
        self.log.count("delivered")
        if turn.active:
            self._refresh(turn)
        row = self._row(turn.id)
        given_up = row["status"] == "failed" and row["expired_claims"] >= 3 and row["deleted_at"] is None
        came_back = bool(answer.returned["batchItemFailures"])
        if came_back != given_up and not (late and given_up):
            self._fail(("message", f"the worker returned {answer.returned} of turn {turn.id}, {row['status']}"))

    @precondition(lambda self: self.deployment.held)
    @rule(which=choices.which)
    def go_on(self, which: int) -> None:
        """Let a held process go on after later events."""
        self.log.count("went on")
        self.deployment.go_on(which)

    @precondition(lambda self: self.model.active)
    @rule(which=choices.which)
    def let_time_pass(self, which: int) -> None:
        """Let time pass until an active turn's lease has ended or its due time is over."""
        self._let_time_pass(self._active(which))

    def _active(self, which: int) -> Turn:
        return self.model.active[which % len(self.model.active)]

    def _let_time_pass(self, turn: Turn) -> None:
        self.deployment.let_time_pass(turn.id)
        self._refresh(turn)

    @rule(clock_s=choices.clock_s)
    def operate(self, clock_s: int) -> None:
        """Run the sweeper's minute and the reconciler's hour."""
        event = self.deployment.run(Job("sweeper", {}, clock_s=clock_s), lambda _: None)
        assert event is not None
        due = [turn for turn in self.model.active if turn.due]
        expected = {"dispatched": len(due), "deleted": 0, "broken": [], "unchecked": [], "failed": []}
        if event.returned != expected:
            self._fail(("sweep", f"{event.returned} where {expected} was expected"))
        for turn in due:
            turn.due = False
        world = self.deployment.world
        findings = reconcile(world.ops, read_plain_log(BytesIO(world.log_since_renewal())))
        if findings.unjournaled or findings.unreadable or findings.drifted:
            self._fail(("lost", f"the provider's log has {findings}"))

    def teardown(self) -> None:
        if self.log.found:
            self.deployment.drop()
            return
        while self.deployment.held:
            self.deployment.go_on(0)
        for turn in self.model.turns.values():
            for _ in range(MOST_DELIVERIES):
                if turn.active:
                    self._let_time_pass(turn)
                    self._deliver(turn, Fate(), {}, 0)
            if turn.active:
                self._fail(("stuck", f"turn {turn.id} has not ended after {MOST_DELIVERIES} deliveries"))
        self.nothing_is_wrong()
        if any(call["status"] == "unknown" for call in self.watch.now.calls.values()):
            self.deployment.restore()
            settled, found = settle(self.deployment.world)
            self.log.count("settled", settled)
            self._fail(*found)
