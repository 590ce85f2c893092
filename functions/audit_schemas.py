"""The audit trail of a turn, as the OpenAPI document shows it."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from functions.schemas import FallbackView, UsageView
from shared.domain.turn import Purpose


class AttemptView(BaseModel):
    """`provider_message` is the provider's own words about an error, up to 500 characters. `thinking` is the model's
    thinking, up to 16 KiB. Only admins see them, until the session is deleted."""

    call_id: str
    step: int
    attempt: int
    purpose: Purpose
    model_alias: str
    status: Literal["intent", "succeeded", "unbilled", "unknown"]
    verdict: Literal["reply", "failed"] | None
    error: str | None
    provider_message: str | None
    thinking: str | None


class CallView(BaseModel):
    """One call of a model. `agent_key` is null for routing and summaries. `ended_at` is null while the call runs.

    `status`: `intent` runs, or its outcome is not recorded yet. `succeeded` was answered and billed. `unbilled` failed
    or was never sent, and costs nothing. `unknown` may have been billed, and its answer was lost: it is in suspense
    until the provider's record settles it.

    `verdict` is the end of a step: `reply` for the attempt whose answer counts, and `failed` for the last attempt of a
    step without one. Routing, reviews and summaries have it too. It is null for an attempt that runs or was retried.

    `reason` is that of `/usage/calls`, and null until the turn's publish posts the call. `cost_usd` is what the call
    cost, whoever bears it: 0 while it runs, and the reserve while it is `unknown`."""

    step: int
    attempt: int
    purpose: Purpose
    agent_key: str | None
    model_alias: str
    started_at: datetime
    ended_at: datetime | None
    status: Literal["intent", "succeeded", "unbilled", "unknown"]
    verdict: Literal["reply", "failed"] | None
    reason: Literal["reply", "review", "helper", "failed_attempt", "unknown_outcome"] | None
    usage: UsageView
    cost_usd: str


class PinnedAgentView(BaseModel):
    key: str
    version: int
    status: Literal["completed", "failed", "skipped"]


class AuditDetailView(BaseModel):
    status: str
    selected_agent_keys: list[str]
    plan_source: str | None
    agents: list[PinnedAgentView]
    model_aliases: list[str | None]
    model_alias_used: str | None = None
    model_aliases_used: list[str] = []
    fallbacks: list[FallbackView]
    attempts: list[AttemptView]


class AuditView(BaseModel):
    event: str
    user_id: str
    created_at: datetime
    detail: AuditDetailView
