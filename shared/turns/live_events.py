"""Tell a listener the events of a turn while it runs.

An event says only what is stored. So a reply that is answered is told with the commit that stores it, or with the
turn's end. A piece of text is provisional, and is told at once.
"""

import threading
from collections.abc import Sequence
from dataclasses import replace

from shared.domain.json_text import json_text
from shared.domain.outcome import TurnOutcome
from shared.domain.turn import Plan, Reply, Turn
from shared.domain.turn_events import Delta, Event, EventName, Heard, Listener, Progress
from shared.llm.port import Request
from shared.orchestration.replies import reply_of
from shared.orchestration.steps import Ask, Attempt
from shared.turns.draft import Header
from shared.turns.journal import TurnJournal


class LiveEvents:
    """The audience of a turn's calls. Safe to use from any number of threads."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._lock = threading.Lock()
        self._has_begun = False
        self._progress = Progress()
        # Replies that the journal may not have yet.
        self._answered: list[Reply] = []

    def follow(self, header: Header, journal: TurnJournal) -> None:
        """Follow the calls of this turn."""
        self._header = header
        self._journal = journal

    def opened(self, calls: Sequence[tuple[Ask, Request]]) -> None:
        with self._lock:
            self._tell_answered()
            for ask, request in calls:
                self._tell_turn(ask.plan)
                if ask.plan is not None:
                    self._tell_plan(ask.plan)
                self._tell_started(ask, request, attempt=self._progress.heard(ask.position).attempt + 1)

    def said(self, ask: Ask, text: str) -> None:
        with self._lock:
            self._listener(Delta(ask.position, text))

    def unsaid(self, ask: Ask) -> None:
        with self._lock:
            self._listener(Event("reply.reset", json_text({"position": ask.position}), None, ask.position))

    def repeated(self, ask: Ask, request: Request) -> None:
        with self._lock:
            self._tell_started(ask, request, attempt=self._progress.heard(ask.position).attempt)

    def settled(self, ask: Ask, attempt: Attempt) -> None:
        assert ask.speaker is not None
        with self._lock:
            self._answered.append(reply_of(ask.position, ask.speaker, attempt))

    def flushed(self) -> None:
        with self._lock:
            self._tell_answered()

    def finish(self, outcome: TurnOutcome) -> None:
        """Tell the rest. `outcome` has the last word on every reply."""
        with self._lock:
            if not self._has_begun:
                self._tell("turn", outcome.body)
            if outcome.turn is not None:
                if outcome.turn.plan is not None:
                    self._tell_plan(outcome.turn.plan)
                for reply in outcome.turn.replies:
                    self._tell_completed(reply)
            elif outcome.handed_over:
                self._tell_answered()
            if outcome.ended:
                self._progress = Progress(planned=True, ended=True)
                self._tell("turn.ended", outcome.body)
            else:
                self._tell("turn.handed_over", outcome.body)

    def _tell_turn(self, plan: Plan | None) -> None:
        """Tell the turn as it was accepted."""
        if self._has_begun:
            return
        header, accepted = self._header, self._journal.accepted
        assert accepted is not None
        turn = Turn(
            id=header.turn_id,
            session_id=header.session_id,
            turn_index=header.turn_index,
            status="running",
            mode=header.mode,
            message=header.message,
            created_at=accepted.created_at,
            plan=plan,
        )
        self._tell("turn", turn.as_json())

    def _tell_plan(self, plan: Plan) -> None:
        if not self._progress.planned:
            self._progress = replace(self._progress, planned=True)
            self._tell("plan", json_text(plan.as_dict()))

    def _tell_started(self, ask: Ask, request: Request, attempt: int) -> None:
        if ask.speaker is None:
            return
        started = {
            "position": ask.position,
            "agent_key": ask.speaker.key,
            "name": ask.speaker.name,
            "model_alias": request.model.alias,
            "attempt": attempt,
        }
        self._progress = self._progress.with_reply(ask.position, Heard(attempt))
        self._tell("reply.started", json_text(started), ask.position, request.call_id)

    def _tell_answered(self) -> None:
        """Tell the replies that are stored by now."""
        if self._journal.has_pending:
            return
        for reply in self._answered:
            self._tell_completed(reply)
        self._answered.clear()

    def _tell_completed(self, reply: Reply) -> None:
        heard = self._progress.heard(reply.position)
        if not heard.completed:
            self._progress = self._progress.with_reply(reply.position, replace(heard, completed=True))
            self._tell("reply.completed", json_text(reply.as_dict()), reply.position)

    def _tell(self, name: EventName, data: str, position: int | None = None, call_id: str | None = None) -> None:
        self._has_begun = True
        self._listener(Event(name, data, self._progress.as_id(), position, call_id))
