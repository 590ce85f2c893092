"""Settle one step of a turn: ask, and decide from the outcome whether and which alias to ask again.

Each attempt is a row that is written before the request is sent. A new process continues from these rows; attempts that
died without an outcome do not count.
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from functools import partial
from uuid import UUID

from uuid6 import uuid7

from shared.catalog import CALL_MARGIN_S, Model
from shared.domain.turn import Verdict
from shared.llm.port import Completion, Provider, Request
from shared.llm.tokens import TokenEstimates, estimate_tokens
from shared.orchestration.next_alias import LONGEST_PAUSE_S, next_alias, pause_before
from shared.orchestration.send import error_of, send
from shared.orchestration.steps import Ask, Attempt, Audience, Journal, Opened, Refused

_OVERFLOW = "context_overflow"
# OpenAI takes 64 characters at most.
_CACHE_KEY_LENGTH = 32
# A call starts only if this share of its model's own time limit is left.
_LEAST_SHARE = 0.5
# A lease covers a call and a pause before it, of at most these seconds.
LEASED_PAUSE_S = 2.0


class OutOfTime(Exception):
    """The next call does not fit into this process's time, or must wait longer than this process waits. Nothing was
    sent or stored for it. The provider must not be asked for `wait_s` seconds."""

    def __init__(self, wait_s: float = 0.0) -> None:
        super().__init__()
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks models for one turn.

    `seconds_left` returns the rest of this process's time. `longest_pause_s` is the longest wait that a provider may
    ask for. Without a `session_id`, no request has a cache key. With an `audience`, agents' answers are streamed."""

    turn_id: UUID
    catalog: Mapping[str, Model]
    provider: Provider
    journal: Journal
    seconds_left: Callable[[], float]
    estimates: TokenEstimates = field(default_factory=TokenEstimates)
    session_id: UUID | None = None
    longest_pause_s: float = LONGEST_PAUSE_S
    audience: Audience | None = None
    tenant_id: str = ""

    def settle(self, ask: Ask) -> Attempt | Refused:
        """Ask until there is a verdict, and return its attempt, from the journal or new. Returns Refused if a call was
        refused first. Raises OutOfTime before a call that would not fit."""
        tried = list(self.journal.attempts(ask.step))
        while not (tried and tried[-1].verdict):
            alias = next_alias(self.catalog[ask.model_alias], tried)
            if alias is None:
                # Another process used up the attempts, and lost its lease before it stored the verdict.
                return replace(tried[-1], verdict="failed")
            attempt = self._attempt(ask, self.catalog[alias], tried)
            if isinstance(attempt, Refused):
                return attempt
            tried.append(attempt)
        return tried[-1]

    def stored(self, step: int) -> Attempt | None:
        """Return the step's attempt with a verdict from the journal. Asks nobody."""
        return next((attempt for attempt in self.journal.attempts(step) if attempt.verdict), None)

    def settle_all(self, asks: Sequence[Ask]) -> list[Attempt | Refused]:
        """Settle independent steps. Their first attempts run at the same time, and each outcome is recorded when it
        arrives. Steps without a verdict then continue one by one."""
        fresh = [ask for ask in asks if not self.journal.attempts(ask.step)]
        opened = self._together(fresh) if len(fresh) > 1 else Opened(len(fresh))
        refused = {ask.step: opened.refused for ask in fresh[opened.count :]}
        return [refused.get(ask.step) or self.settle(ask) for ask in asks]

    def first_call(self, ask: Ask) -> tuple[Ask, Request]:
        """Build the step's first call. Nothing is sent or written."""
        return ask, self._request(ask, self.catalog[ask.model_alias], ())

    def _together(self, asks: Sequence[Ask]) -> Opened:
        models = [self.catalog[ask.model_alias] for ask in asks]
        requests = [self._request(ask, model, ()) for ask, model in zip(asks, models, strict=True)]
        # Building many long prompts takes seconds, so read the remaining time afterwards.
        limits = [self._limit(model) for model in models]
        calls = [
            (ask, replace(request, timeout_s=limit)) for ask, request, limit in zip(asks, requests, limits, strict=True)
        ]
        opened = self._open(calls)
        failures: list[Exception] = []
        with ThreadPoolExecutor(max_workers=opened.count or 1) as threads:
            sent = calls[: opened.count]
            waiting = {threads.submit(self._send, ask, request): (ask, request) for ask, request in sent}
            # Only this thread uses the journal. One outcome that cannot be written must not cost the others.
            for future in as_completed(waiting):
                try:
                    self._close(*waiting.pop(future), future.result(), [])
                    if waiting:
                        self._flush()
                except Exception as error:  # noqa: BLE001 raised below
                    failures.append(error)
        if failures:
            raise failures[0]
        return opened

    def _attempt(self, ask: Ask, model: Model, tried: Sequence[Attempt]) -> Attempt | Refused:
        pause = pause_before(model.alias, tried)
        if pause > self.longest_pause_s:
            raise OutOfTime(pause)
        request = self._request(ask, model, tried, self._limit(model, pause))
        if pause > LEASED_PAUSE_S:
            # The lease may end during the pause. Then opening the intent fails, and nothing is sent.
            self._flush()
            time.sleep(pause)
        if refused := self._open([(ask, request)]).refused:
            return refused
        # A short pause follows the intent, so that it costs no commit.
        if 0 < pause <= LEASED_PAUSE_S:
            time.sleep(pause)
        return self._close(ask, request, self._send(ask, request), tried)

    def _limit(self, model: Model, pause_s: float = 0.0) -> float | None:
        """Return the time limit of a call after a pause, in seconds. None: the model's own. Raises OutOfTime if less
        than half of the model's own is left."""
        left = self.seconds_left() - pause_s - CALL_MARGIN_S
        if left < model.max_call_s * _LEAST_SHARE:
            raise OutOfTime(pause_s)
        return None if left >= model.max_call_s else left

    def _open(self, calls: Sequence[tuple[Ask, Request]]) -> Opened:
        held_for = calls[0][0].held_for
        opened = self.journal.open(calls, None if held_for is None else partial(self.first_call, held_for))
        if self.audience is not None:
            self.audience.opened(calls[: opened.count])
        return opened

    def _flush(self) -> None:
        self.journal.flush()
        if self.audience is not None:
            self.audience.flushed()

    def _send(self, ask: Ask, request: Request) -> Completion:
        return send(self.provider, ask, request, self.audience, self.tenant_id)

    def _request(self, ask: Ask, model: Model, tried: Sequence[Attempt], limit_s: float | None = None) -> Request:
        cap = min(ask.max_output_tokens, model.max_output_tokens)
        messages = ask.build(self.estimates.room(model, cap))
        if any(attempt.error == _OVERFLOW and attempt.model_alias == model.alias for attempt in tried):
            messages = ask.build(estimate_tokens(messages) // 2)
        return Request(
            call_id=str(uuid7()),
            turn_id=str(self.turn_id),
            model=model,
            messages=messages,
            max_output_tokens=cap,
            temperature=ask.temperature,
            response_schema=ask.schema,
            effort=ask.effort,
            cache_key=_cache_key(self.session_id, ask) if self.session_id else None,
            continues=ask.continues,
            timeout_s=limit_s,
        )

    def _close(self, ask: Ask, request: Request, completion: Completion, tried: Sequence[Attempt]) -> Attempt:
        self._learn(request, completion)
        call_id, error = UUID(request.call_id), error_of(completion)
        attempt = Attempt(call_id, request.model.alias, completion, error)
        over = next_alias(self.catalog[ask.model_alias], [*tried, attempt]) is None
        verdict: Verdict | None = "reply" if error is None else "failed" if over else None
        closed = self.journal.close(call_id, completion, error, verdict)
        if self.audience is not None and verdict is not None and ask.speaker is not None:
            self.audience.settled(ask, closed)
        return closed

    def _learn(self, request: Request, completion: Completion) -> None:
        """Correct the estimates by the provider's count, or by its error that the prompt was too long."""
        model, cap = request.model, request.max_output_tokens
        estimated, counted = estimate_tokens(request.messages), completion.usage.prompt_tokens
        if completion.error == _OVERFLOW:
            if completion.context_window is not None:
                self.estimates.learn_window(model, completion.context_window, cap)
            # The prompt has more tokens than this. So an estimate of at least this size was right.
            at_least = self.estimates.window(model) - cap
            counted = at_least if at_least > estimated else 0
        if counted:
            self.estimates.learn(model.alias, estimated, counted)


def _cache_key(session_id: UUID, ask: Ask) -> str:
    """Return a key that is the same in every turn and process. Session ids are random, so the hashed text cannot be
    guessed."""
    speaker = f"{session_id}/{ask.purpose}/{ask.agent.key if ask.agent else ''}{'/chair' if ask.uses_hold else ''}"
    return hashlib.sha256(speaker.encode()).hexdigest()[:_CACHE_KEY_LENGTH]
