"""Settle one step of a turn in several attempts: ask, and decide from the outcome whether and whom to ask again.

Every attempt is written down before it is sent, and each is a row of its own. The journal keeps the attempts of a
process that died; attempts that had no outcome by then do not count.
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Literal, Protocol
from uuid import UUID

from uuid6 import uuid7

from shared.catalog import CALL_MARGIN_S, Model
from shared.domain.agent import Agent
from shared.domain.money import ZERO
from shared.domain.turn import SIZE_LIMIT, Plan, Purpose, Verdict
from shared.llm.port import Completion, Message, Provider, Request, cut, is_visible, storable
from shared.llm.tokens import TokenEstimates, estimate_tokens
from shared.orchestration.next_alias import LONGEST_PAUSE_S, next_alias, pause_before
from shared.orchestration.spoken import spoken

_OVERFLOW = "context_overflow"
# OpenAI takes 64 characters at most.
_CACHE_KEY_LENGTH = 32
# A lease covers a call and this pause before it.
LEASED_PAUSE_S = 2.0


@dataclass(frozen=True, slots=True)
class Ask:
    """What a step asks: `build` makes the messages for so many estimated tokens as there is room for."""

    step: int
    purpose: Purpose
    model_alias: str
    max_output_tokens: int
    temperature: float | None
    build: Callable[[int], tuple[Message, ...]]
    plan: Plan | None = None
    agent: Agent | None = None
    schema: Mapping[str, object] | None = None
    # "low": the answer needs little thinking.
    effort: Literal["low"] | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One recorded attempt. `error` is None if it gave an answer. `ended` is the moment of its outcome on this
    process's monotonic clock, also if another process recorded it."""

    call_id: UUID
    model_alias: str
    completion: Completion
    error: str | None
    verdict: Verdict | None = None
    cost_usd: Decimal = ZERO
    ended: float = field(default_factory=time.monotonic, compare=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """The turn's caps or the budget refused a call. `code` says which of them."""

    code: str


@dataclass(frozen=True, slots=True)
class Opened:
    """The first `count` calls may be sent. `refused` says why the others may not, and is None if there are none."""

    count: int
    refused: Refused | None = None


class Journal(Protocol):
    """Where calls are written down. Raises what ends the runner's part in the turn; never loses an outcome."""

    def attempts(self, step: int) -> Sequence[Attempt]:
        """What the journal knows of this step, oldest first, without attempts that died with their process."""
        ...

    def open(self, asks: Sequence[tuple[Ask, Request]]) -> Opened:
        """Write the intents of calls that start together, with the last outcome. Only the first calls are opened that
        the turn's caps and the budget cover."""
        ...

    def close(self, call_id: UUID, completion: Completion, error: str | None, verdict: Verdict | None) -> Attempt:
        """Keep the outcome, to be written with the next intent or with the turn's end."""
        ...

    def flush(self) -> None:
        """Write the kept outcome now."""
        ...


class OutOfTime(Exception):
    """The next call does not fit into the rest of this process's time, or must wait longer than this process waits.
    Nothing was sent or stored for it. The provider must not be asked for `wait_s` seconds."""

    def __init__(self, wait_s: float = 0.0) -> None:
        super().__init__()
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks models for one turn. `seconds_left` returns the rest of this process's time. `longest_pause_s` is the
    longest wait that a provider may ask for. Without a `session_id`, no request has a cache key."""

    turn_id: UUID
    catalog: Mapping[str, Model]
    provider: Provider
    journal: Journal
    seconds_left: Callable[[], float]
    estimates: TokenEstimates = field(default_factory=TokenEstimates)
    session_id: UUID | None = None
    longest_pause_s: float = LONGEST_PAUSE_S

    def settle(self, ask: Ask) -> Attempt | Refused:
        """Ask until there is a verdict, and return the attempt that carries it: one already in the journal, or a new
        one. Returns Refused if a call was refused before that. Raises OutOfTime before a call that would not fit."""
        tried = list(self.journal.attempts(ask.step))
        while not (tried and tried[-1].verdict):
            alias = next_alias(self.catalog[ask.model_alias], tried)
            if alias is None:
                # Another process used up the attempts, and lost its lease before it could say so.
                return replace(tried[-1], verdict="failed")
            attempt = self._attempt(ask, self.catalog[alias], tried)
            if isinstance(attempt, Refused):
                return attempt
            tried.append(attempt)
        return tried[-1]

    def stored(self, step: int) -> Attempt | None:
        """The attempt that carries the step's verdict in the journal, without asking for one."""
        return next((attempt for attempt in self.journal.attempts(step) if attempt.verdict), None)

    def settle_all(self, asks: Sequence[Ask]) -> list[Attempt | Refused]:
        """Settle steps that do not depend on each other: their first attempts at the same time, each recorded when it
        arrives; what they leave undecided one by one. Refused for those that were refused."""
        fresh = [ask for ask in asks if not self.journal.attempts(ask.step)]
        opened = self._together(fresh) if len(fresh) > 1 else Opened(len(fresh))
        refused = {ask.step: opened.refused for ask in fresh[opened.count :]}
        return [refused.get(ask.step) or self.settle(ask) for ask in asks]

    def first_call(self, ask: Ask) -> tuple[Ask, Request]:
        """The step's first call. Nothing is sent or written."""
        return ask, self._request(ask, self.catalog[ask.model_alias], ())

    def _together(self, asks: Sequence[Ask]) -> Opened:
        models = [self.catalog[ask.model_alias] for ask in asks]
        self._check_time(max(model.max_call_s for model in models))
        calls = [(ask, self._request(ask, model, ())) for ask, model in zip(asks, models, strict=True)]
        opened = self.journal.open(calls)
        failures: list[Exception] = []
        with ThreadPoolExecutor(max_workers=opened.count or 1) as threads:
            sent = calls[: opened.count]
            waiting = {threads.submit(self.provider.complete, request): (ask, request) for ask, request in sent}
            # The journal is this thread's alone. One outcome that cannot be written must not cost the others.
            for future in as_completed(waiting):
                try:
                    self._close(*waiting.pop(future), future.result(), [])
                    if waiting:
                        self.journal.flush()
                except Exception as error:  # noqa: BLE001 raised below
                    failures.append(error)
        if failures:
            raise failures[0]
        return opened

    def _attempt(self, ask: Ask, model: Model, tried: Sequence[Attempt]) -> Attempt | Refused:
        pause = pause_before(model.alias, tried)
        if pause > self.longest_pause_s:
            raise OutOfTime(pause)
        self._check_time(model.max_call_s, pause)
        request = self._request(ask, model, tried)
        if pause > LEASED_PAUSE_S:
            # The lease may end during the pause. Then opening the intent fails, and nothing is sent.
            self.journal.flush()
            time.sleep(pause)
        if refused := self.journal.open([(ask, request)]).refused:
            return refused
        # A short pause comes after the intent, so that it costs no commit.
        if 0 < pause <= LEASED_PAUSE_S:
            time.sleep(pause)
        return self._close(ask, request, self.provider.complete(request), tried)

    def _check_time(self, call_s: float, pause_s: float = 0.0) -> None:
        if self.seconds_left() < pause_s + call_s + CALL_MARGIN_S:
            raise OutOfTime(pause_s)

    def _request(self, ask: Ask, model: Model, tried: Sequence[Attempt]) -> Request:
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
            # A helper reads the conversation in one message, which the next prompt does not repeat.
            continues=ask.agent is not None,
        )

    def _close(self, ask: Ask, request: Request, completion: Completion, tried: Sequence[Attempt]) -> Attempt:
        completion = _kept(spoken(completion, ask.agent))
        self._learn(request, completion)
        call_id, error = UUID(request.call_id), _error(completion)
        attempt = Attempt(call_id, request.model.alias, completion, error)
        over = next_alias(self.catalog[ask.model_alias], [*tried, attempt]) is None
        verdict: Verdict | None = "reply" if error is None else "failed" if over else None
        return self.journal.close(call_id, completion, error, verdict)

    def _learn(self, request: Request, completion: Completion) -> None:
        """Correct the estimates by the provider's own count, or by its word that it was too long for the window."""
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
    """Return a key that is the same in every turn and process. A session's id is random, so nobody can guess the hashed
    text."""
    speaker = f"{session_id}/{ask.purpose}/{ask.agent.key if ask.agent else ''}"
    return hashlib.sha256(speaker.encode()).hexdigest()[:_CACHE_KEY_LENGTH]


def _kept(completion: Completion) -> Completion:
    """The completion with the text that the journal keeps and that the next agent is sent."""
    whole = storable(completion.text)
    text = cut(whole)
    if text == completion.text:
        return completion
    # A withheld answer stays one, however long its beginning is.
    was_cut = text != whole and completion.stop_reason != "content_filtered"
    return replace(completion, text=text, stop_reason=SIZE_LIMIT if was_cut else completion.stop_reason)


def _error(completion: Completion) -> str | None:
    if completion.error is not None:
        return completion.error
    if completion.stop_reason == "content_filtered":
        return "content_filtered"
    return None if is_visible(completion.text) else "empty_reply"
