"""Hold one call of a turn's journal in memory, and what the ledger will say of it as known before publish."""

import time
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from shared.catalog import Rates
from shared.db.engine import Params, Row
from shared.domain.money import COUNTS, ZERO, Usage, cost, rates_as_dict, rates_from_dict, upper_bound
from shared.domain.outcome import CallFigures
from shared.domain.turn import Account, CallStatus, Charge, Purpose, Verdict
from shared.llm.port import Completion, Request
from shared.llm.tokens import most_input_tokens
from shared.orchestration.steps import Ask, Attempt

PLATFORM_PAYER = "platform"


@dataclass(frozen=True, slots=True)
class Call:
    """A provider call. Money is in USD, `seconds` is the call's duration.

    `payer` holds its reserve, and is empty before the hold. `attempt` is None until the outcome is known."""

    call_id: UUID
    step: int
    number: int
    purpose: Purpose
    model_alias: str
    reserve_usd: Decimal
    rates: Rates
    request_hash: str = ""
    payer: str = ""
    attempt: Attempt | None = None
    started: float = 0.0
    seconds: float = 0.0

    @property
    def status(self) -> CallStatus:
        """Return the outcome's status. A call without an outcome becomes `unknown` at the next claim or publish."""
        return self.attempt.completion.status if self.attempt else "unknown"

    @property
    def counts(self) -> bool:
        """Whether it is one of its step's attempts. A late answer without a verdict is none."""
        return self.attempt is not None and (self.attempt.verdict is not None or self.attempt.error is not None)

    def finished(self, completion: Completion, error: str | None, verdict: Verdict | None) -> "Call":
        amount = {
            "succeeded": cost(self.rates, completion.usage),
            "unbilled": ZERO,
            "unknown": self.reserve_usd,
        }[completion.status]
        attempt = Attempt(
            self.call_id, self.model_alias, completion, error, verdict, amount, request_hash=self.request_hash
        )
        return replace(self, attempt=attempt, seconds=time.monotonic() - self.started)

    def answered(self) -> Attempt:
        assert self.attempt is not None
        return self.attempt

    @property
    def replied(self) -> bool:
        return self.attempt is not None and self.attempt.verdict == "reply"

    @property
    def undecided(self) -> bool:
        """Whether publish decides who bears it: the tenant holds the reserve, and the call became no reply."""
        return self.payer != PLATFORM_PAYER and not self.replied

    def account(self) -> Account:
        """Return the account that pays. An undecided call counts as the platform's, which bears it within its
        allowance."""
        if self.status == "unknown":
            return "suspense"
        return "platform" if self.payer == PLATFORM_PAYER or self.undecided else "tenant"

    def charge(self) -> Charge:
        if self.attempt is None:
            return Charge("suspense", Usage(), self.reserve_usd)
        return Charge(self.account(), self.attempt.completion.usage, self.attempt.cost_usd)

    def figures(self) -> CallFigures:
        usage = self.answered().completion.usage
        return CallFigures(self.purpose, self.model_alias, self.status, usage, self.seconds, self.started, self.call_id)

    def as_audit(self) -> dict[str, Any]:
        return {
            "call_id": str(self.call_id),
            "step": self.step,
            "attempt": self.number,
            "purpose": self.purpose,
            "model_alias": self.model_alias,
            "status": self.status,
            "verdict": self.attempt and self.attempt.verdict,
            "error": self.attempt and self.attempt.error,
        }

    def intent(self, ask: Ask, request: Request) -> dict[str, Any]:
        """Return the call as an object of the JSON array that `intents.sql` reads."""
        return {
            "call_id": request.call_id,
            "step": self.step,
            "attempt": self.number,
            "purpose": self.purpose,
            "agent_key": ask.agent and ask.agent.key,
            "agent_version": ask.agent and ask.agent.version,
            "model_alias": self.model_alias,
            "provider": request.model.provider,
            "model_id": request.model.model_id,
            "request_hash": self.request_hash,
            "reserve_usd": str(self.reserve_usd),
            "rates": rates_as_dict(self.rates),
        }

    def outcome_params(self) -> dict[str, Any]:
        attempt = self.answered()
        completion = attempt.completion
        fields = {
            "call_id": self.call_id,
            "status": self.status,
            "verdict": attempt.verdict,
            **completion.usage.as_counts(),
            "cost_usd": attempt.cost_usd,
            "output": completion.text,
            "stop_reason": completion.stop_reason,
            "error_code": attempt.error,
            "provider_request_id": completion.provider_request_id,
            "provider_message": completion.provider_message,
            "thinking": completion.thinking,
            "retry_after_s": completion.retry_after_s,
        }
        return {f"o_{name}": value for name, value in fields.items()}


# The parameters of a step that has no outcome to record.
NO_OUTCOME: Params = {"o_call_id": None}


def new_call(ask: Ask, request: Request, number: int) -> Call:
    """Return the call that `request` is about to make, with the reserve that bounds its cost."""
    rates = request.model.rates
    return Call(
        call_id=UUID(request.call_id),
        step=ask.step,
        number=number,
        purpose=ask.purpose,
        model_alias=request.model.alias,
        reserve_usd=upper_bound(
            rates, most_input_tokens(request.messages, request.response_schema), request.max_output_tokens
        ),
        rates=rates,
        started=time.monotonic(),
    )


def call_from_row(row: Row) -> Call:
    """Return the call of a journal row. It has no `attempt` if it died with its process."""
    call = Call(
        call_id=row["call_id"],
        step=row["step"],
        number=row["attempt"],
        purpose=row["purpose"],
        model_alias=row["model_alias"],
        payer=row["payer"],
        reserve_usd=row["reserve_usd"],
        rates=rates_from_dict(row["rates"]),
        request_hash=row["request_hash"],
    )
    if row["finished_at"] is None:
        return call
    completion = Completion(
        status=row["status"],
        text=row["output"] or "",
        stop_reason=row["stop_reason"],
        usage=Usage(**{name: row[name] for name in COUNTS}),
        retry_after_s=row["retry_after_s"],
    )
    # Use the row's age by the database's clock, because the clocks of processes differ.
    ended = time.monotonic() - row["age_s"]
    attempt = Attempt(
        call.call_id,
        call.model_alias,
        completion,
        row["error_code"],
        row["verdict"],
        row["cost_usd"],
        ended,
        call.request_hash,
    )
    return replace(call, attempt=attempt)
