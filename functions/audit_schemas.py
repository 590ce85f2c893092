"""The audit trail of a turn, as the OpenAPI document shows it."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from functions.schemas import FallbackView
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
