"""A turn's journal on Postgres: each call is written before it is sent, and an outcome in hand is never dropped.

The outcome of one call and the intent of the next share a commit. If that commit fails, the outcome is recorded alone.
If the fence refuses the intent, the outcome is still recorded and this runner stops. If the budget refuses it, the
outcome is committed and the runner goes on without that call.
"""

import hashlib
import itertools
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import psycopg

from shared.db.engine import Database, Params, Row
from shared.db.protocol import LOAD_CALLS, OPEN, RECORD, RELEASE
from shared.domain.json_text import json_text
from shared.domain.money import ZERO
from shared.domain.outcome import CallFigures
from shared.domain.turn import Charge, Verdict
from shared.errors import BudgetExceeded, DatabaseUnavailable, JournalUnavailable, TurnLimitExceeded
from shared.llm.port import Completion, Request
from shared.orchestration.steps import Ask, Attempt, Opened, Refused
from shared.settings import budget_settings
from shared.turns.acceptance import Accepted, RefusedHold, accept
from shared.turns.call import NO_OUTCOME, Call, call_from_row, new_call
from shared.turns.turn_caps import caps

logger = logging.getLogger(__name__)

# Beyond the call itself, a lease leaves time to record its outcome and to write the next intent.
LEASE_MARGIN_S = 30.0
# Why a call was not made, as its reply says it.
BUDGET, TURN_LIMIT = Refused(BudgetExceeded.code), Refused(TurnLimitExceeded.code)
_RECORD_TRIES = 3
_RECORD_PAUSE_S = 0.2


class Stopped(Exception):
    """This runner may not go on: the turn was cancelled or its session deleted, and is to be published as it stands
    (`publish`), or another runner has it."""

    def __init__(self, *, publish: bool) -> None:
        self.publish = publish


class TurnJournal:
    """The journal of one turn and one runner. `new` holds the turn's columns (`t_...`) until it is accepted, which
    happens together with its first intent. `first_calls` builds the calls of the agents that may be asked first."""

    def __init__(self, db: Database, tenant_id: str, turn_id: UUID, new: Params) -> None:
        self.turn_id = turn_id
        self.first_calls: Callable[[], Sequence[tuple[Ask, Request]]] = tuple
        self.epoch = 1
        self.accepted: Accepted | None = None
        self._db = db
        self._tenant_id = tenant_id
        self._new = new
        self._calls: list[Call] = []
        # Outcomes that are not written yet: one, unless the database did not take those before it.
        self._pending: list[Call] = []

    @classmethod
    def resumed(cls, db: Database, turn: Row, calls: Sequence[Row]) -> "TurnJournal":
        """The journal of a turn that was just claimed: its row, with the database's clock as `now`, and its calls."""
        journal = cls(db, turn["tenant_id"], turn["id"], {})
        journal.epoch = turn["lease_epoch"]
        journal.accepted = Accepted(turn["created_at"], turn["now"], time.monotonic())
        journal._calls = [call_from_row(row) for row in calls]
        return journal

    def attempts(self, step: int) -> Sequence[Attempt]:
        return [call.answered() for call in self._calls if call.step == step and call.counts]

    def open(
        self, asks: Sequence[tuple[Ask, Request]], held_for: Callable[[], tuple[Ask, Request]] | None = None
    ) -> Opened:
        """Write down the intents of calls that start together, and the last outcome, in one commit. Only the first
        calls are opened that the turn's caps and the budget cover. The caps leave room for `held_for`. With the turn's
        first call of an agent, the tenant holds its reserve, too. Raises TurnLimitExceeded if the turn's first call
        does not fit its caps."""
        kept = [] if held_for is None else [held_for()]
        calls = [(new_call(ask, request, self._next_attempt(ask.step)), request) for ask, request in [*kept, *asks]]
        planned = [call for call, _ in calls[len(kept) :]]
        fitting = max(0, caps().fitting(self._calls, calls) - len(kept))
        refused = TURN_LIMIT if fitting < len(asks) else None
        if not fitting and self.accepted is None and not asks[0][0].is_helper:
            raise TurnLimitExceeded
        kept_usd = calls[0][0].reserve_usd if kept and not self._has_asked else None
        for count in range(fitting, 0, -1):
            if self._open(asks[:count], planned[:count], kept_usd):
                return Opened(count, refused)
            refused = BUDGET
        return Opened(0, refused)

    @property
    def _has_asked(self) -> bool:
        """Whether an agent was asked."""
        return any(call.purpose == "agent" for call in self._calls)

    def _open(self, asks: Sequence[tuple[Ask, Request]], calls: Sequence[Call], kept_usd: Decimal | None) -> bool:
        hashed = [ask.prompt_hash or _hash(request) for ask, request in asks]
        calls = [replace(call, request_hash=of) for call, of in zip(calls, hashed, strict=True)]
        written = [call.intent(ask, request) for call, (ask, request) in zip(calls, asks, strict=True)]
        first = asks[0][0]
        replaces = not first.is_helper and (first.uses_hold or not self._has_asked)
        params = {
            "i_calls": json_text(written),
            "i_helper": first.is_helper,
            "i_reserve_usd": sum(call.reserve_usd for call in calls),
            "i_beside_usd": kept_usd or ZERO,
            "i_replaces": replaces or None,
            "i_kept_usd": kept_usd,
            "t_plan": first.plan and json_text(first.plan.as_dict()),
            "t_lease_s": max(request.limit_s for _, request in asks) + LEASE_MARGIN_S,
            **limits(),
        }
        held_by = self._advance(params) if self.accepted else self._accept_and_open(params, needed=len(asks) == 1)
        if held_by is None:
            return False
        self._calls += [replace(call, payer=held_by) for call in calls]
        return True

    def _next_attempt(self, step: int) -> int:
        return 1 + sum(call.step == step for call in self._calls)

    def close(self, call_id: UUID, completion: Completion, error: str | None, verdict: Verdict | None) -> Attempt:
        index = next(i for i, call in enumerate(self._calls) if call.call_id == call_id)
        call = self._calls[index] = self._calls[index].finished(completion, error, verdict)
        self._pending.append(call)
        # The next statement carries one outcome only. If there are two, record both alone now.
        if len(self._pending) > 1:
            self.flush()
        return call.answered()

    def charges(self) -> list[Charge]:
        """Every call of the turn as the ledger will see it, if the platform bears the undecided ones."""
        return [call.charge() for call in self._calls]

    @property
    def undecided(self) -> bool:
        """Whether publish decides who bears one of the calls."""
        return any(call.undecided for call in self._calls)

    def figures(self) -> list[CallFigures]:
        """The calls that this process made and saw the end of."""
        return [call.figures() for call in self._calls if call.seconds]

    @property
    def calls(self) -> Sequence[Call]:
        return tuple(self._calls)

    @property
    def lost(self) -> int:
        """How many calls died with an earlier runner, as far as this one knows."""
        return sum(call.attempt is None for call in self._calls)

    def load_late_outcomes(self) -> bool:
        """Load outcomes that earlier runners recorded after this runner's claim. Returns whether there were any.
        Raises JournalUnavailable."""
        before = self.lost
        try:
            rows = self._db.read(self._tenant_id, LOAD_CALLS, {"b_id": self.turn_id})
        except (psycopg.Error, DatabaseUnavailable) as error:
            raise JournalUnavailable from error
        stored = {row["call_id"]: call_from_row(row) for row in rows}
        self._calls = [stored[call.call_id] if call.attempt is None else call for call in self._calls]
        return self.lost < before

    @property
    def steps_finished(self) -> int:
        return sum(call.attempt is not None and call.attempt.verdict is not None for call in self._calls)

    def fence(self) -> Params:
        """The parameters by which a statement knows this runner."""
        return {"t_id": self.turn_id, "t_epoch": self.epoch}

    def outcome(self) -> Params:
        """The parameters of the last pending outcome. Without one `o_call_id` is None: steps leave that part out."""
        return self._pending[-1].outcome_params() if self._pending else NO_OUTCOME

    @property
    def has_pending(self) -> bool:
        """Whether an outcome in hand is not written yet."""
        return bool(self._pending)

    def written(self) -> None:
        """The outcome went through with another statement."""
        self._pending.pop()

    def flush(self) -> None:
        """Record the outcomes in hand, each alone. Raises JournalUnavailable when the database does not take one of
        them; it stays in hand, and where nobody tries again its call stays an intent, which a claim makes unknown."""
        failures: list[JournalUnavailable] = []
        for call in tuple(self._pending):
            try:
                self._record(call)
            except JournalUnavailable as error:
                failures.append(error)
        if failures:
            raise failures[0]

    def _record(self, call: Call) -> None:
        """Record one outcome. Try three times at most, with a pause between."""
        for attempt in itertools.count(1):
            try:
                self._db.run(self._tenant_id, RECORD, {**self.fence(), **call.outcome_params(), **limits()})
            except (psycopg.Error, DatabaseUnavailable) as error:
                logger.warning("outcome not recorded", extra={"error": type(error).__name__, "attempt": attempt})
                if attempt == _RECORD_TRIES:
                    raise JournalUnavailable from error
                time.sleep(_RECORD_PAUSE_S)
            else:
                self._pending.remove(call)
                return

    def accept_without_call(self, *, run_here: bool) -> None:
        """Accept the turn without a call: to be run by this process, or for the queue. Raises what `open` raises."""
        self._accept({"i_calls": None, "t_lease_s": LEASE_MARGIN_S if run_here else None, **limits()})

    def release(self, wait_s: float = 0.0) -> bool:
        """Give the turn back to the queue, and store the newest outcome. `wait_s` are the seconds that a provider asked
        us to wait. Returns False if another runner has the turn already. Then only the outcome is stored."""
        params = {**self.fence(), **self.outcome(), "t_wait_s": wait_s}
        try:
            row = self._db.run(self._tenant_id, RELEASE, params)[0]
        except (psycopg.Error, DatabaseUnavailable) as error:
            self.flush()
            raise JournalUnavailable from error
        if "recorded" in row:
            self.written()
        self.flush()
        return "released" in row

    def _accept_and_open(self, params: Params, *, needed: bool) -> str | None:
        """Return the payer that holds the calls' reserve, None if the budget refused them. Fewer calls of agents may
        fit; without its helper's call, the turn is accepted. Raises BudgetExceeded if the tenant has no money for the
        first agent, or for the one call that is `needed`."""
        if params["i_helper"]:
            return self._accept(params)
        try:
            self.accepted = accept(
                self._db,
                self._tenant_id,
                {**self._new, **params, "t_needs_call": True, "t_hold_usd": params["i_kept_usd"]},
            )
        except RefusedHold as error:
            if needed:
                raise BudgetExceeded from error
            return None
        return self.accepted.held_by

    def _accept(self, params: Params) -> str | None:
        """Accept the turn before its first agent is asked. The tenant holds the highest reserve of those who may be."""
        reserves = [new_call(ask, request, 1).reserve_usd for ask, request in self.first_calls()]
        hold = {"t_hold_usd": max(reserves, default=ZERO), "i_beside_usd": max(reserves, default=ZERO)}
        try:
            self.accepted = accept(self._db, self._tenant_id, {**self._new, **params, **hold, "t_needs_call": None})
        except RefusedHold as error:
            raise BudgetExceeded from error
        return self.accepted.held_by

    def _advance(self, params: Params) -> str | None:
        """Return the payer that holds the calls' reserve, None if the budget refused it. The outcome, the plan and the
        lease are committed all the same. Raises Stopped and JournalUnavailable."""
        try:
            row = self._db.run(self._tenant_id, OPEN, {**self.fence(), **self.outcome(), **params})[0]
        except (psycopg.Error, DatabaseUnavailable) as error:
            self.flush()
            raise JournalUnavailable from error
        if "recorded" in row:
            self.written()
        if "wanted" not in row:
            self.flush()
            raise Stopped(publish=False)
        if not row["wanted"]:
            raise Stopped(publish=True)
        return row.get("held_by")


def limits() -> dict[str, Decimal]:
    """The limits of a month, in USD, where the operator set none: of a tenant, and of the platform's share for one."""
    values = budget_settings()
    return {"p_cap_usd": values.default_cap_usd, "p_allowance_usd": values.platform_allowance_usd}


def _hash(request: Request) -> str:
    """A hash of what is sent, so that two attempts can be compared without keeping the prompt."""
    content = (
        request.model.model_id,
        [(message.role, message.text) for message in request.messages],
        request.max_output_tokens,
        request.temperature,
    )
    return hashlib.sha256(json_text(content).encode()).hexdigest()
