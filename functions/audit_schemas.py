"""The audit trail of a turn and its calls, as the OpenAPI document shows them."""

from typing import Literal

from pydantic import BaseModel, Field

from functions.field_types import Alias, Amount, Id, Key, Keys, Time, UserId, Version
from functions.turn_schemas import FallbackView, UsageView
from shared.domain.turn import Purpose

_STEP = "The step of the turn, from 0."
_ATTEMPT = "The attempt of the step, from 1."
_PURPOSE = "The purpose of the call."
_STATUS = (
    "`intent`: the call runs, or its outcome is not recorded yet. `succeeded`: answered and billed. `unbilled`: failed"
    " or not sent, costs nothing. `unknown`: the answer was lost, so the call may have been billed."
)
_VERDICT = (
    "The end of the step. `reply`: this attempt's answer counts. `failed`: the step has no answer. Null: the attempt"
    " runs or was retried."
)


class AttemptView(BaseModel):
    """One call of a model, as the audit trail keeps it."""

    call_id: Id = Field(description="Id of the call.")
    step: int = Field(description=_STEP, examples=[0])
    attempt: int = Field(description=_ATTEMPT, examples=[1])
    purpose: Purpose = Field(description=_PURPOSE, examples=["agent"])
    model_alias: Alias = Field(description="The alias that was called.")
    status: Literal["intent", "succeeded", "unbilled", "unknown"] = Field(description=_STATUS, examples=["succeeded"])
    verdict: Literal["reply", "failed"] | None = Field(description=_VERDICT, examples=["reply"])
    error: str | None = Field(description="Code of the error. Null without one.", examples=["throttled"])
    provider_message: str | None = Field(
        description="The provider's error message, at most 500 characters. Null for callers who are not admins, and"
        " after the session's deletion.",
        examples=["Too many requests."],
    )
    thinking: str | None = Field(
        description="The model's thinking, at most 16 KiB. Null for callers who are not admins, and after the session's"
        " deletion.",
        examples=["The user wants one sentence."],
    )


class CallView(BaseModel):
    """One call of a model."""

    step: int = Field(description=_STEP, examples=[0])
    attempt: int = Field(description=_ATTEMPT, examples=[1])
    purpose: Purpose = Field(description=_PURPOSE, examples=["agent"])
    agent_key: Key | None = Field(description="Key of the agent. Null for routing and summaries.")
    model_alias: Alias = Field(description="The alias that was called.")
    started_at: Time = Field(description="When the call began.")
    ended_at: Time | None = Field(description="When the call ended. Null while it runs.")
    status: Literal["intent", "succeeded", "unbilled", "unknown"] = Field(
        description=f"{_STATUS} It stays in suspense until the provider's record settles it.", examples=["succeeded"]
    )
    verdict: Literal["reply", "failed"] | None = Field(description=_VERDICT, examples=["reply"])
    reason: Literal["reply", "review", "helper", "failed_attempt", "unknown_outcome"] | None = Field(
        description="The reason in `/usage/calls`. Null until the turn is published.", examples=["reply"]
    )
    usage: UsageView = Field(description="Tokens of the call.")
    cost_usd: Amount = Field(
        description="Cost of the call in USD, for any payer. 0 while the call runs. The reserve while it is `unknown`."
    )


class PinnedAgentView(BaseModel):
    """An agent of the turn, at the version that the turn used."""

    key: Key = Field(description="Key of the agent.")
    version: Version = Field(description="Version of the agent.")
    status: Literal["completed", "failed", "skipped"] = Field(
        description="Status of its reply.", examples=["completed"]
    )


class AuditDetailView(BaseModel):
    """The facts of an audit event."""

    status: str = Field(description="Status of the turn.", examples=["completed"])
    selected_agent_keys: Keys = Field(description="Keys of the agents in the plan.")
    plan_source: str | None = Field(description="Source of the plan. Null without a plan.", examples=["tags"])
    agents: list[PinnedAgentView] = Field(description="The agents that answered, with their versions.")
    model_aliases: list[str | None] = Field(
        description="The alias of each reply. Null if no model was called.", examples=[["fast"]]
    )
    model_alias_used: Alias | None = Field(default=None, description="The alias of all replies. Null: several.")
    model_aliases_used: list[str] = Field(default=[], description="The aliases of the replies.", examples=[["fast"]])
    fallbacks: list[FallbackView] = Field(description="Model answers that a fixed rule replaced.")
    attempts: list[AttemptView] = Field(description="All calls by step and attempt.")


class AuditView(BaseModel):
    """An event of a turn."""

    event: str = Field(description="Name of the event.", examples=["turn_published"])
    user_id: UserId = Field(description="Id of the user who posted the turn.")
    created_at: Time = Field(description="When the event was recorded.")
    detail: AuditDetailView = Field(description="The facts of the event.")
