"""The machine's clients that post turns, and the answers that they get."""

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.faults import events
from tests.faults.actor import Answer
from tests.faults.turn import ENDED
from tests.soak.machine import choices, model
from tests.soak.machine.deployment import Fate
from tests.soak.machine.model import Body, Expected, Session, Turn
from tests.soak.machine.witness import Witness

# No turn of the machine's costs nearly as much.
_AMPLE_USD = Decimal(1)


@dataclass(frozen=True)
class _Posted:
    """A turn that a client has posted, perhaps without an answer."""

    session: Session
    body: Body
    key: str | None


class Posting(Witness):
    """Rules about turns that are posted."""

    @rule(
        which=choices.which,
        body=choices.body,
        key=choices.key,
        later=st.booleans(),
        fate=choices.reader,
        mood=choices.mood,
        clock_s=choices.clock_s,
    )
    def post(
        self, which: int, body: Body, key: str | None, later: bool, fate: Fate, mood: model.Moods, clock_s: int
    ) -> None:
        self._post(self._session(which), body, key, fate, mood, clock_s, later=later)

    @rule(
        which=choices.which,
        words=choices.words,
        mode=choices.mode,
        key=choices.key,
        fate=choices.fate,
        mood=choices.mood,
        clock_s=choices.clock_s,
    )
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
        """Post a turn whose process is killed, held up, or short of time."""
        self._post(self._session(which), Body(words, mode), key, fate, mood, clock_s, later=False)

    @precondition(lambda self: self.model.keys)
    @rule(which=choices.which, later=st.booleans(), fate=choices.reader, clock_s=choices.clock_s)
    def post_again(self, which: int, later: bool, fate: Fate, clock_s: int) -> None:
        """Post again, as a client without an answer does."""
        key = list(self.model.keys)[which % len(self.model.keys)]
        session, body, _ = self.model.keys[key]
        self._post(session, body, key, fate, {}, clock_s, later=later)

    @rule(mood=choices.mood)
    def crowd(self, mood: model.Moods) -> None:
        """Post turns to more sessions than may be active at once."""
        for session in [session for session in self.model.sessions if not session.deleted]:
            self._post(session, Body(("hello",)), None, Fate(), mood, 0, later=True)
            self.nothing_is_wrong()

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
        headers |= {"accept": "text/event-stream"} if fate.live else {}
        path = f"/sessions/{session.id}/turns"
        event = events.request("POST", path, headers, body.as_json())
        posted = _Posted(session, body, key)
        answer = self._run(fate.job("turns", event, clock_s), lambda late: self._told(late, posted))
        if answer is None:
            # The process died or is held up. Only the database knows whether there is a turn.
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
            self._paid(told)
            self._as_predicted(told, plan, mood)

    def _same_bytes(self, answer: Answer, expected: Expected) -> None:
        assert expected.turn is not None
        headers = {name.lower(): value for name, value in answer.returned["headers"].items()}
        if answer.body != expected.turn.response or headers.get("idempotency-replayed") != "true":
            self._fail(("told", f"turn {expected.turn.id} is answered again with {answer.body}"))

    def _add(self, posted: _Posted, turn_id: UUID, status: str) -> Turn:
        turn = self.model.turns[turn_id] = Turn(turn_id, posted.session)
        if posted.key:
            self.model.keys[posted.key] = (posted.session, posted.body, turn)
        self._refresh(turn)
        if turn.active == (status in ENDED):
            self._fail(("told", f"turn {turn.id} was said to be {status}"))
        return turn

    def _adopt(self, posted: _Posted) -> None:
        """Take over a turn whose process did not answer, if it made one."""
        found = self.deployment.world.rows(
            "SELECT id, status, idempotency_key AS key FROM turns WHERE session_id = %s AND NOT id = ANY(%s)",
            posted.session.id,
            list(self.model.turns),
        )
        for row in found:
            if row["key"] != posted.key:
                self._fail(("told", f"turn {row['id']} was made under {row['key']} in the place of {posted.key}"))
            self._add(posted, row["id"], row["status"])

    def _told(self, answer: Answer, posted: _Posted) -> None:
        """Check the answer of a process that was held up during other steps."""
        self._adopt(posted)
        for turn in self.model.turns.values():
            if turn.session is posted.session:
                self._refresh(turn)
        codes = (402, 404, 409, 410, 422, 429)
        self._check(answer, Expected(201), Expected(202), *(Expected(code) for code in codes))
        if answer.status == 201:
            turn = self.model.turns[UUID(json.loads(answer.body)["id"])]
            if answer.body != turn.response and not turn.session.deleted:
                self._fail(("told", f"turn {turn.id} was answered {answer.body}, and is {turn.response}"))

    def _paid(self, body: dict[str, Any]) -> None:
        """Check that the tenant pays only for replies and reviews while an allowance is left, and for everything
        without one.
        """
        share = self.watch.now.share
        (reviews,) = self.deployment.world.rows(
            """SELECT coalesce(sum(cost_usd), 0) AS usd FROM llm_calls
            WHERE turn_id = %s AND purpose = 'review' AND verdict = 'reply'""",
            body["id"],
        )
        replies = sum((Decimal(reply["cost_usd"]) for reply in body["replies"]), reviews["usd"])
        if self.model.platform_bears and share.left_usd >= _AMPLE_USD:
            self.log.count("within the allowance")
            if Decimal(body["cost_usd"]) != replies:
                self._fail(
                    ("paid", f"turn {body['id']} costs {body['cost_usd']}, and its replies and reviews {replies}")
                )
        if not self.model.platform_bears or self.model.allowance_usd == "0":
            self.log.count("without an allowance")
            if body["platform_cost_usd"] != "0":
                self._fail(("paid", f"the platform bears {body['platform_cost_usd']} of turn {body['id']}"))

    def _as_predicted(self, body: dict[str, Any], plan: Any, mood: model.Moods) -> None:
        """Compare an undisturbed turn with the prediction from its message and the provider's moods."""
        if plan is not None and body["plan"] != plan:
            self._fail(("plan", f"{body['plan']} where {plan} was expected"))
        keys = body["plan"]["selected_agent_keys"]
        calls = self.deployment.world.rows("SELECT error_code FROM llm_calls WHERE turn_id = %s", body["id"])
        slow = {call["error_code"] for call in calls} & {"timeout", "unavailable"}
        if slow and ("no answer", True) not in mood.values():
            # A call timed out, because of its mood or a busy machine. Which call it was does not matter.
            self.log.count("slow")
            return
        expected = model.council_replies(keys, mood) if body["mode"] == "council" else model.replies(keys, mood)
        for reply, status in zip(body["replies"], expected, strict=True):
            allowed = (status, "skipped") if self.model.limited else (status,)
            if reply["status"] not in allowed:
                self._fail(("reply", f"{reply} where {status} was expected of {mood}"))
        ended = "completed" if any(reply["status"] == "completed" for reply in body["replies"]) else "failed"
        if body["status"] != ended:
            self._fail(("reply", f"turn {body['id']} is {body['status']} where {ended} was expected"))
