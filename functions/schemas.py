"""Request and response bodies, as the OpenAPI document shows them. Strict: wrong types and unknown fields are 422."""

from datetime import datetime
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from shared.roster.fields import AgentKey, Body, Chair, FanOut, Mode, Roster, Text, Title

Item = TypeVar("Item")

MAX_MESSAGE_CHARACTERS = 32_000

Visibility = Literal["private", "tenant"]


class NewSession(Body):
    """Either `council_key`, or a mode and a roster of its own."""

    title: Title = ""
    council_key: AgentKey | None = None
    mode: Mode = "manual"
    # Validated also if it is missing, because a session needs a roster or a council.
    agent_keys: Annotated[Roster | None, Field(validate_default=True)] = None
    fan_out: FanOut = "sequential"
    chair_key: Chair = None
    visibility: Visibility = "private"

    @field_validator("mode", "agent_keys", "fan_out", "chair_key", mode="before")
    @classmethod
    def _not_beside_a_council(cls, value: object, info: ValidationInfo) -> object:
        # Null means not given.
        if value is not None and info.data.get("council_key") is not None:
            raise PydanticCustomError("beside_council_key", "Input should not be given with council_key")
        return value

    @field_validator("agent_keys")
    @classmethod
    def _a_roster_or_a_council(cls, keys: list[str] | None, info: ValidationInfo) -> list[str] | None:
        if keys is None and info.data.get("council_key") is None:
            raise PydanticCustomError("missing", "Field required, or council_key")
        return keys


class SessionChange(Body):
    """A null changes nothing, except for `chair_key`: null is the first of `agent_keys`."""

    title: Title | None = None
    mode: Mode | None = None
    agent_keys: Roster | None = None
    fan_out: FanOut | None = None
    chair_key: Chair = None
    visibility: Visibility | None = None


class SessionView(BaseModel):
    """`created_by` is a user id. Only that user and admins see a `private` session. Every member sees a `tenant`
    session. `chair_key` is the agent that concludes in mode `council`; null is the first of `agent_keys`. A session of
    origin `chat` was made for a chat program that called `model` by OpenAI's API. `imported`: it began with a history
    that the program sent along."""

    id: str
    title: str
    mode: str
    agent_keys: list[str]
    fan_out: str
    chair_key: str | None
    created_by: str
    visibility: Visibility
    origin: Literal["api", "chat"]
    model: str | None
    imported: bool
    created_at: datetime
    updated_at: datetime


class HealthView(BaseModel):
    status: Literal["ok", "unavailable"]
    version: str
    commit: str | None
    stage: str
    checks: dict[str, str]


class MeView(BaseModel):
    user_id: str
    tenant_id: str
    email: str | None
    roles: list[str]


class RatesView(BaseModel):
    input: str
    output: str
    cache_read: str
    cache_write: str
    reasoning: str
    # For tokens that a cache keeps for an hour. Present only if the provider has a price for them.
    cache_write_1h: str | None = Field(default=None, exclude_if=lambda rate: rate is None)


class ModelView(BaseModel):
    alias: str
    provider: str
    model_id: str
    context_window: int
    max_output_tokens: int
    max_call_s: float
    fallback_alias: str | None
    rates: RatesView


class NewTurn(Body):
    # The route refuses empty and too long messages with `invalid_message`. The document has the same limits.
    message: Annotated[
        Text, Field(json_schema_extra={"minLength": 1, "maxLength": MAX_MESSAGE_CHARACTERS, "pattern": r"\S"})
    ]
    mode: Mode | None = None
    agent_keys: Roster | None = None


class ProblemView(BaseModel):
    """RFC 9457. Some codes add members of their own, such as `active_turn_id` or `errors`."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str


class ErrorView(BaseModel):
    code: str
    detail: str


class UsageView(BaseModel):
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int


class PlanView(BaseModel):
    selected_agent_keys: list[str]
    source: Literal["tags", "request", "default", "roster", "routing", "fallback"]
    unknown_tags: list[str]


class ReplyView(BaseModel):
    position: int
    agent_key: str
    agent_version: int
    name: str
    status: Literal["completed", "failed", "skipped"]
    text: str | None
    stop_reason: str | None
    error: ErrorView | None
    model_alias: str | None
    usage: UsageView
    cost_usd: str


class FallbackView(BaseModel):
    component: str
    reason: str
    step: int


class ReviewView(BaseModel):
    """The keys of the agents whose answers the agent `agent_key` ranked, best first."""

    agent_key: str
    ranking: list[str]


class StandingView(BaseModel):
    """The mean rank of an agent's answer, with two decimals; 1.00 is the best."""

    agent_key: str
    average_rank: str


class TurnView(BaseModel):
    """`reviews` and `standings` (best first) are null in other modes than `council`. They are empty if fewer than three
    agents answered. Turns that an earlier release stored have neither."""

    id: str
    session_id: str
    turn_index: int
    status: Literal["accepted", "running", "completed", "failed", "cancelled"]
    mode: str
    message: str
    error: ErrorView | None
    plan: PlanView | None
    replies: list[ReplyView]
    output: str
    reviews: list[ReviewView] | None = None
    standings: list[StandingView] | None = None
    model_alias_used: str | None
    model_aliases_used: list[str]
    summary_triggered: bool
    fallbacks: list[FallbackView]
    usage: UsageView
    steps_finished: int
    created_at: datetime
    completed_at: datetime | None
    cost_usd: str
    platform_cost_usd: str


class ItemView(BaseModel):
    id: str
    list: Literal["key_facts", "decisions", "open_questions", "action_items"]
    text: str
    turn_index: int


class ArchivedView(ItemView):
    reason: Literal["answered", "done", "outdated", "duplicate", "replaced", "no_room"]
    successor: str | None
    archived_at: datetime


class SummaryView(BaseModel):
    id: str
    session_id: str
    through_turn_index: int
    text: str
    key_facts: list[str]
    decisions: list[str]
    open_questions: list[str]
    action_items: list[str]
    items: list[ItemView]
    fallbacks: list[FallbackView]
    created_at: datetime


class RosterView(BaseModel):
    key: str
    name: str


class ExportView(BaseModel):
    """A page of a session, oldest turn first. `active_turn_id` is a turn that has not ended and is not in it."""

    session: SessionView
    agents: list[RosterView]
    turns: list[TurnView]
    summaries: list[SummaryView]
    active_turn_id: str | None
    next_cursor: str | None


class PageOf(BaseModel, Generic[Item]):
    items: list[Item]
    next_cursor: str | None
