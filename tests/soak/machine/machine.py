"""The machine: whatever can be done, as rules that Hypothesis puts into an order. After each one all is looked at."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from io import BytesIO
from typing import Any, ClassVar
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from shared.db.engine import Row
from shared.reconciliation.plain_log import read_plain_log
from shared.reconciliation.reconcile import reconcile
from tests.faults import events
from tests.faults.actor import AMPLE_S, Answer, Job
from tests.faults.checks import Finding
from tests.faults.reconciled import settle
from tests.faults.turn import ENDED, MOST_DELIVERIES
from tests.soak.machine import model
from tests.soak.machine.deployment import DAY_S, Deployment, Fate, Then
from tests.soak.machine.model import AGENT_KEYS, MOODS, Body, Expected, Model, Session, Turn
from tests.soak.machine.watch import Watch

_MODES = ("manual", "tag", "roundtable", "orchestrator")
_AMOUNTS = (None, None, "5", "0.002", "0")
_pick = st.integers(0, 5)
_roster = st.permutations(AGENT_KEYS).flatmap(lambda keys: st.integers(1, 3).map(lambda count: tuple(keys[:count])))
_mode = st.sampled_from(_MODES)
_words = st.lists(st.sampled_from((*model.TAGS, *model.TAGS, *model.NO_TAGS)), min_size=1, max_size=4).map(tuple)
_body = st.builds(
    Body,
    st.one_of(_words, _words, _words, st.sampled_from(((), (model.LONG,)))),
    st.one_of(st.none(), st.none(), _mode),
    st.one_of(st.none(), st.none(), _roster),
)
_fate = st.one_of(
    st.builds(Fate, kill=st.integers(0, 24)),
    st.builds(Fate, pause=st.sampled_from(Fate.PAUSES)),
    st.builds(Fate, left=st.sampled_from(((0.0,), (AMPLE_S, 0.0), (AMPLE_S, AMPLE_S, 0.0)))),
)
_clock = st.sampled_from((0, 0, 0, DAY_S, -DAY_S))
# The one that takes its time, seldom.
_moody = [name for name in MOODS if name != "no answer"] * 3 + ["no answer"]
_moods = st.dictionaries(
    st.sampled_from((*AGENT_KEYS, "routing", "summary")), st.tuples(st.sampled_from(_moody), st.booleans()), max_size=2
)
_key = st.one_of(st.none(), st.integers(0, 3).map(lambda number: f"key-{number}"))


class Found(AssertionError):
    """Something is wrong: the kinds and texts of what it is."""

    def __init__(self, found: Sequence[Finding]) -> None:
        self.found = found
        super().__init__("\n".join(f"{kind}: {text}" for kind, text in found))


@dataclass
class Log:
    """What all runs of a machine did. `found` is what was wrong first, before it was made smaller."""

    runs: int = 0
    steps: int = 0
    answers: dict[str, int] = field(default_factory=dict)
    found: list[Finding] = field(default_factory=list)

    def count(self, what: str, times: int = 1) -> None:
        self.answers[what] = self.answers.get(what, 0) + times


class Machine(RuleBasedStateMachine):
    """`deployment` and `log` are those of all runs."""

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
        """None where the process was killed, or is held up; `then` is for its answer some day. Of a process that lives
        no call is without its outcome."""
        mine: set[UUID] = set()

        def late(answer: Answer) -> None:
            self._kept(mine)
            then(answer)

        answer = self.deployment.run(job, late)
        mine |= {row["call_id"] for row in self._unfinished()} - self.watch.now.calls.keys()
        if answer is not None:
            self._kept(mine)
        return answer

    def _unfinished(self) -> list[Row]:
        """Calls that nobody knows the outcome of; the reconciler knows some by now."""
        return self.deployment.world.rows(
            "SELECT call_id FROM llm_calls WHERE finished_at IS NULL AND status IN ('intent', 'unknown')"
        )

    def _kept(self, calls: set[UUID]) -> None:
        if lost := calls & {row["call_id"] for row in self._unfinished()}:
            self._fail(("lost outcome", f"the process that made {lost} has answered, and they are open"))

    def _check(self, answer: Answer, *expected: Expected) -> None:
        """The answer is one of those."""
        self.log.count(str(answer.status))
        body = json.loads(answer.body) if answer.body else {}
        for one in expected:
            about = one.turn is None or str(one.turn.id) in (body.get("id"), body.get("active_turn_id"))
            if answer.status == one.status and about and one.code in (None, body.get("code")):
                return
        self._fail(("told", f"{answer.status} {answer.body[:300]} where {expected} was expected"))

    # Looking.

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
        """Take over what became of a turn where the model cannot know it."""
        row = self._row(turn.id)
        turn.active, turn.response = row["status"] not in ENDED, row["response"]
        turn.runs, turn.due = bool(row["runs"]), bool(row["due"])

    # Clients: sessions and agents.

    @initialize(mode=_mode)
    def begin(self, mode: str) -> None:
        self.make_session(mode, AGENT_KEYS, "sequential")

    @precondition(lambda self: len(self.model.sessions) < 4)
    @rule(mode=_mode, roster=_roster, fan_out=st.sampled_from(("sequential", "parallel")))
    def make_session(self, mode: str, roster: tuple[str, ...], fan_out: str) -> None:
        fields = {"title": "Talk", "mode": mode, "agent_keys": list(roster), "fan_out": fan_out}
        answer = self.deployment.call("POST", "/sessions", fields)
        if any(self.model.agents[key].deleted for key in roster):
            self._check(answer, Expected(422, "unknown_agent"))
            return
        self._check(answer, Expected(201))
        self.model.sessions.append(Session(UUID(json.loads(answer.body)["id"]), mode, roster, fan_out))

    @rule(which=_pick, mode=st.one_of(st.none(), _mode), roster=st.one_of(st.none(), _roster))
    def change_session(self, which: int, mode: str | None, roster: tuple[str, ...] | None) -> None:
        session = self._session(which)
        answer = self.deployment.call("PATCH", f"/sessions/{session.id}", {"mode": mode, "agent_keys": roster})
        if any(self.model.agents[key].deleted for key in roster or ()):
            self._check(answer, Expected(422, "unknown_agent"))
        elif session.deleted:
            self._check(answer, Expected(404, "not_found"))
        else:
            self._check(answer, Expected(200))
            session.mode, session.roster = mode or session.mode, roster or session.roster

    @precondition(lambda self: len(self.model.sessions) > 1)
    @rule(which=_pick)
    def delete_session(self, which: int) -> None:
        session = self._session(which)
        answer = self.deployment.call("DELETE", f"/sessions/{session.id}")
        self._check(answer, Expected(404, "not_found") if session.deleted else Expected(204))
        session.deleted = True

    @rule(
        how=st.sampled_from(("PUT", "PUT", "DELETE", "POST", "POST")),
        key=st.sampled_from(AGENT_KEYS),
        alias=st.sampled_from(("fast", "deep")),
        enabled=st.booleans(),
    )
    def change_agent(self, how: str, key: str, alias: str, enabled: bool) -> None:
        agent, path = self.model.agents[key], "/agents" if how == "POST" else f"/agents/{key}"
        body = None if how == "DELETE" else self._agent(key, alias, enabled) | ({"key": key} if how == "POST" else {})
        answer = self.deployment.call(how, path, body)
        if agent.deleted != (how == "POST"):
            self._check(answer, Expected(409, "agent_exists") if how == "POST" else Expected(404, "not_found"))
            return
        self._check(answer, Expected({"PUT": 200, "DELETE": 204, "POST": 201}[how]))
        self.model.agents[key] = model.Agent(alias, enabled, deleted=how == "DELETE")

    @staticmethod
    def _agent(key: str, alias: str, enabled: bool) -> dict[str, Any]:
        prompt = f"You do what a {key} does."
        fields = {"name": key.title(), "role_prompt": prompt, "model_alias": alias, "max_output_tokens": 100}
        return fields | {"enabled": enabled}

    def _session(self, which: int) -> Session:
        """One that is there, as a rule."""
        living = [session for session in self.model.sessions if not session.deleted]
        among = living if living and which < 5 else self.model.sessions
        return among[which % len(among)]

    # Clients: turns.

    @rule(which=_pick, body=_body, key=_key, later=st.booleans(), mood=_moods, clock_s=_clock)
    def post(self, which: int, body: Body, key: str | None, later: bool, mood: model.Moods, clock_s: int) -> None:
        self._post(self._session(which), body, key, Fate(), mood, clock_s, later=later)

    @rule(which=_pick, words=_words, mode=_mode, key=_key, fate=_fate, mood=_moods, clock_s=_clock)
    def post_in_vain(
        self,
        which: int,
        words: tuple[str, ...],
        mode: str,
        key: str | None,
        fate: Fate,
        mood: model.Moods,
        clock_s: int,
    ) -> None:
        """Its process is killed, held up, or out of time."""
        self._post(self._session(which), Body(words, mode), key, fate, mood, clock_s, later=False)

    @precondition(lambda self: self.model.keys)
    @rule(which=_pick, later=st.booleans(), clock_s=_clock)
    def post_again(self, which: int, later: bool, clock_s: int) -> None:
        """As a client does who has heard nothing."""
        key = list(self.model.keys)[which % len(self.model.keys)]
        session, body, _ = self.model.keys[key]
        self._post(session, body, key, Fate(), {}, clock_s, later=later)

    def _post(
        self,
        session: Session,
        body: Body,
        key: str | None,
        fate: Fate,
        mood: model.Moods,
        clock_s: int,
        *,
        later: bool,
    ) -> None:
        self.deployment.set_moods(mood)
        expected = self.model.expect(session, body, key)
        plan = self.model.plan(session, body) if expected.status is None else None
        headers = ({"idempotency-key": key} if key else {}) | ({"prefer": "respond-async"} if later else {})
        path = f"/sessions/{session.id}/turns"
        event = events.request("POST", path, headers, body.as_json())
        posted = _Posted(session, body, key)
        answer = self._run(fate.job("turns", event, clock_s), lambda late: self._told(late, posted))
        if answer is None:
            # It died or is held up, and whether there is a turn only the database knows.
            self._adopt(posted)
            return
        if expected.status is not None:
            self._check(answer, expected)
            if answer.status == 201:
                self._same_bytes(answer, expected)
            return
        refused = [Expected(402, "budget_exceeded")] if self.model.limited else []
        self._check(answer, Expected(201), Expected(202), *refused)
        if answer.status == 402:
            return
        told = json.loads(answer.body)
        turn = self._add(posted, UUID(told["id"]), told["status"])
        if later and answer.status != 202:
            self._fail(("told", f"turn {turn.id} was to wait, and was answered {answer.status}"))
        if answer.status == 201:
            self._as_predicted(told, plan, mood)

    def _same_bytes(self, answer: Answer, expected: Expected) -> None:
        assert expected.turn is not None
        headers = {name.lower(): value for name, value in answer.returned["headers"].items()}
        if answer.body != expected.turn.response or headers.get("idempotency-replayed") != "true":
            self._fail(("told", f"turn {expected.turn.id} is answered again with {answer.body}"))

    def _add(self, posted: "_Posted", turn_id: UUID, status: str) -> Turn:
        turn = self.model.turns[turn_id] = Turn(turn_id, posted.session)
        if posted.key:
            self.model.keys[posted.key] = (posted.session, posted.body, turn)
        self._refresh(turn)
        if turn.active == (status in ENDED):
            self._fail(("told", f"turn {turn.id} was said to be {status}"))
        return turn

    def _adopt(self, posted: "_Posted") -> None:
        """A turn of a process that did not answer, where it has made one."""
        found = self.deployment.world.rows(
            "SELECT id, status, idempotency_key AS key FROM turns WHERE session_id = %s AND NOT id = ANY(%s)",
            posted.session.id,
            list(self.model.turns),
        )
        for row in found:
            if row["key"] != posted.key:
                self._fail(("told", f"turn {row['id']} was made under {row['key']} in the place of {posted.key}"))
            self._add(posted, row["id"], row["status"])

    def _told(self, answer: Answer, posted: "_Posted") -> None:
        """What somebody is told who was held up while others did this and that."""
        self._adopt(posted)
        for turn in self.model.turns.values():
            if turn.session is posted.session:
                self._refresh(turn)
        codes = (402, 404, 409, 410, 422)
        self._check(answer, Expected(201), Expected(202), *(Expected(code) for code in codes))
        if answer.status == 201:
            turn = self.model.turns[UUID(json.loads(answer.body)["id"])]
            if answer.body != turn.response and not turn.session.deleted:
                self._fail(("told", f"turn {turn.id} was answered {answer.body}, and is {turn.response}"))

    def _as_predicted(self, body: dict[str, Any], plan: Any, mood: model.Moods) -> None:
        """A turn that nobody interfered with is what the message and the provider's moods make of it."""
        if plan is not None and body["plan"] != plan:
            self._fail(("plan", f"{body['plan']} where {plan} was expected"))
        keys = body["plan"]["selected_agent_keys"]
        calls = self.deployment.world.rows("SELECT error_code FROM llm_calls WHERE turn_id = %s", body["id"])
        slow = {call["error_code"] for call in calls} & {"timeout", "unavailable"}
        if slow and ("no answer", True) not in mood.values():
            # The machine was too busy to answer in time, or that was its mood; which of its calls it was is not asked.
            self.log.count("slow")
            return
        expected = model.replies(keys, mood)
        for reply, status in zip(body["replies"], expected, strict=True):
            allowed = (status, "skipped") if self.model.limited else (status,)
            if reply["status"] not in allowed:
                self._fail(("reply", f"{reply} where {status} was expected of {mood}"))
        ended = "completed" if any(reply["status"] == "completed" for reply in body["replies"]) else "failed"
        if body["status"] != ended:
            self._fail(("reply", f"turn {body['id']} is {body['status']} where {ended} was expected"))

    @precondition(lambda self: self.model.turns)
    @rule(which=_pick)
    def cancel(self, which: int) -> None:
        turn = self._turn(which)
        answer = self.deployment.call("POST", f"/turns/{turn.id}/cancel")
        if turn.session.deleted:
            self._check(answer, Expected(404, "not_found"))
        else:
            self._check(answer, Expected(202, turn=turn) if turn.active else Expected(409, "turn_ended"))

    def _turn(self, which: int) -> Turn:
        """One of the newest."""
        turns = list(self.model.turns.values())
        return turns[-1 - which % len(turns)]

    @precondition(lambda self: self.model.turns)
    @rule(which=_pick, clock_s=_clock)
    def read(self, which: int, clock_s: int) -> None:
        turn = self._turn(which)
        gone = turn.session.deleted
        answer = self.deployment.call("GET", f"/turns/{turn.id}", clock_s=clock_s)
        self._check(answer, Expected(404, "not_found") if gone else Expected(200, turn=turn))
        if not (gone or turn.active) and answer.body != turn.response:
            self._fail(("told", f"turn {turn.id} is read as {answer.body}"))
        answer = self.deployment.call("GET", f"/sessions/{turn.session.id}/turns?limit=100", clock_s=clock_s)
        self._check(answer, Expected(404, "not_found") if gone else Expected(200))
        if gone:
            return
        listed = [item["id"] for item in json.loads(answer.body)["items"]]
        made = [str(known.id) for known in self.model.turns.values() if known.session is turn.session]
        if sorted(listed) != sorted(made):
            self._fail(("told", f"{listed} are listed where {made} were made"))
        told = json.loads(self.deployment.call("GET", "/budget", clock_s=clock_s).body)
        if Decimal(told["held_usd"]) + Decimal(told["spent_usd"]) != self.watch.now.used_usd:
            self._fail(("told", f"{told} where {self.watch.now.used_usd} are held and spent"))

    # Budgets.

    @rule(usd=st.sampled_from(_AMOUNTS), cap=st.booleans())
    def set_budget(self, usd: str | None, cap: bool) -> None:
        """The tenant's limit, or the operator's cap."""
        if cap:
            path = f"/admin/tenants/{events.TENANT}/cap"
            answer = self.deployment.call("PUT", path, {"limit_usd": usd}, role="operator", function="admin")
            self._check(answer, Expected(200))
            self.model.cap_usd = usd
            return
        answer = self.deployment.call("PUT", "/budget", {"limit_usd": usd}, role="admin")
        highest = self.model.cap_usd
        if usd is not None and highest is not None and Decimal(usd) > Decimal(highest):
            self._check(answer, Expected(422, "budget_above_cap"))
            return
        self._check(answer, Expected(200))
        self.model.limit_usd = usd

    # The queue, the worker, time, and operations.

    @precondition(lambda self: self.model.turns)
    @rule(which=_pick, mood=_moods, clock_s=_clock)
    def deliver(self, which: int, mood: model.Moods, clock_s: int) -> None:
        self._deliver(self._turn(which), Fate(), mood, clock_s)

    @precondition(lambda self: self.model.active)
    @rule(which=_pick, fate=_fate, mood=_moods, clock_s=_clock)
    def take_over(self, which: int, fate: Fate, mood: model.Moods, clock_s: int) -> None:
        """A worker comes when the lease is over, and is killed, held up, or out of time itself."""
        turn = self._active(which)
        self._let_time_pass(turn)
        self._deliver(turn, fate, mood, clock_s)

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
        """The message of a turn that had to be given up comes back, and no other one. Who comes `late` may not know."""
        self.log.count("delivered")
        if turn.active:
            self._refresh(turn)
        row = self._row(turn.id)
        given_up = row["status"] == "failed" and row["expired_claims"] >= 3 and row["deleted_at"] is None
        came_back = bool(answer.returned["batchItemFailures"])
        if came_back != given_up and not (late and given_up):
            self._fail(("message", f"the worker returned {answer.returned} of turn {turn.id}, {row['status']}"))

    @precondition(lambda self: self.deployment.held)
    @rule(which=_pick)
    def go_on(self, which: int) -> None:
        """Somebody who was held up goes on, whatever has happened since."""
        self.log.count("went on")
        self.deployment.go_on(which)

    @precondition(lambda self: self.model.active)
    @rule(which=_pick)
    def let_time_pass(self, which: int) -> None:
        """Until an active turn's lease is over, or the moment at which it should have been looked after."""
        self._let_time_pass(self._active(which))

    def _active(self, which: int) -> Turn:
        return self.model.active[which % len(self.model.active)]

    def _let_time_pass(self, turn: Turn) -> None:
        self.deployment.let_time_pass(turn.id)
        self._refresh(turn)

    @rule(clock_s=_clock)
    def operate(self, clock_s: int) -> None:
        """The sweeper's minute, and the reconciler's hour."""
        event = self.deployment.run(Job("sweeper", {}, clock_s=clock_s), lambda _: None)
        assert event is not None
        due = [turn for turn in self.model.active if turn.due]
        expected = {"dispatched": len(due), "deleted": 0, "broken": [], "unchecked": []}
        if event.returned != expected:
            self._fail(("sweep", f"{event.returned} where {expected} was expected"))
        for turn in due:
            turn.due = False
        world = self.deployment.world
        findings = reconcile(world.ops, read_plain_log(BytesIO(world.log_since_renewal())))
        if findings.unjournaled or findings.unreadable or findings.drifted:
            self._fail(("lost", f"the provider's log has {findings}"))

    # The end: nobody is held up any more, and every turn ends.

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


@dataclass(frozen=True)
class _Posted:
    session: Session
    body: Body
    key: str | None
