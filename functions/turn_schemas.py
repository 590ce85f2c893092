"""Bodies of requests and answers about turns."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from functions.field_types import Alias, Amount, Count, Id, Key, Keys, ModeName, Position, Text, Time, Version
from shared.domain.turn import PlanSource
from shared.roster import fields
from shared.roster.fields import Body, Mode, Roster

MAX_MESSAGE_CHARACTERS = 32_000


class NewTurn(Body):
    """A message to the session's agents."""

    # An empty or too long message has an error of its own. The document states its bounds too.
    message: Annotated[
        fields.Text, Field(json_schema_extra={"minLength": 1, "maxLength": MAX_MESSAGE_CHARACTERS, "pattern": r"\S"})
    ] = Field(
        description="The user's message, 1 to 32,000 characters. A tag such as `@writer` addresses an agent.",
        examples=["@writer Describe Paris in one sentence."],
    )
    mode: Mode | None = Field(
        default=None, description="The mode of this turn. Null: the session's mode.", examples=["manual"]
    )
    agent_keys: Roster | None = Field(
        default=None,
        description="In mode `manual`, the agents that answer, in this order. Null: the tagged agents, or without tags"
        " the first enabled agent of the roster.",
        examples=[["writer"]],
    )


class ErrorView(BaseModel):
    """The reason why a reply or a turn has no text."""

    code: str = Field(description="A stable code for programs.", examples=["timeout"])
    detail: str = Field(
        description="A sentence for people. It can change.", examples=["The provider did not answer in time."]
    )


class UsageView(BaseModel):
    """Tokens by class. A token is in one class only."""

    input_tokens: Count = Field(description="Prompt tokens that were not read from or written to a cache.")
    output_tokens: Count = Field(description="Tokens of the answer, without reasoning.")
    cache_read_tokens: Count = Field(description="Prompt tokens that the provider read from its cache.")
    cache_write_tokens: Count = Field(description="Prompt tokens that the provider wrote to its cache.")
    reasoning_tokens: Count = Field(description="Tokens that the model used for thinking.")


class PlanView(BaseModel):
    """The agents that answer a turn."""

    selected_agent_keys: Keys = Field(description="Keys of the agents in the order of their answers.")
    source: PlanSource = Field(
        description="The origin of the plan: `tags` in the message, `request` (agent_keys in the body), `default`"
        " (the first enabled agent) or `roster` (all enabled agents). In mode `orchestrator`: `routing`, or `fallback`"
        " after a failed routing. In a graph: `graph`.",
        examples=["tags"],
    )
    unknown_tags: list[str] = Field(
        description="Tags that name no enabled agent of the roster, as typed, without the @.", examples=[["editor"]]
    )


class ReplyView(BaseModel):
    """The answer of one agent."""

    position: Position = Field(description="The reply's place in the plan, from 0.")
    agent_key: Key = Field(description="Key of the agent.")
    agent_version: Version = Field(description="Version of the agent that this turn uses.")
    name: str = Field(description="Name of the agent.", examples=["Writer"])
    status: Literal["completed", "failed", "skipped"] = Field(
        description="`skipped`: the agent was not asked, because of the budget or because the turn ended.",
        examples=["completed"],
    )
    text: Text | None = Field(description="The answer, at most 256 KiB of UTF-8. Null unless `completed`.")
    stop_reason: str | None = Field(
        description="Why the model stopped: `end_turn`, `max_tokens` (the output cap), `size_limit` (the reply or its"
        " turn is too long), or the provider's own word. Null without an answer.",
        examples=["end_turn"],
    )
    error: ErrorView | None = Field(description="Null for a `completed` reply.")
    model_alias: Alias | None = Field(description="The alias that answered. Null if no model was called.")
    usage: UsageView = Field(description="Tokens of the call that gave this reply.")
    cost_usd: Amount = Field(description="Cost of the call that gave this reply, in USD.")


class FallbackView(BaseModel):
    """A fixed rule that replaced a model's answer."""

    component: str = Field(
        description="The part that fell back: for example `routing`, `review`, `chair` or a part of the summary.",
        examples=["routing"],
    )
    reason: str = Field(description="The reason, as a stable code.", examples=["invalid_json"])
    step: int = Field(description="The step of the turn that fell back, from 0.", examples=[0])


class ReviewView(BaseModel):
    """The ranking that one agent gave to the answers of the others."""

    agent_key: Key = Field(description="Key of the agent that ranked.")
    ranking: Keys = Field(description="Keys of the agents whose answers it ranked, best first.")


class StandingView(BaseModel):
    """The mean rank of an agent's answer."""

    agent_key: Key = Field(description="Key of the agent.")
    average_rank: str = Field(description="The mean rank with two decimals. 1.00 is the best.", examples=["1.50"])


class TurnView(BaseModel):
    """A message and the answers to it. An ended turn never changes. Turns that an older release stored have no
    `reviews` and no `standings`."""

    id: Id = Field(description="Id of the turn, a UUIDv7.")
    session_id: Id = Field(description="Id of its session.")
    turn_index: int = Field(description="The turn's place in its session, from 1.", examples=[4])
    status: Literal["accepted", "running", "completed", "failed", "cancelled"] = Field(
        description="`accepted` waits for a process, `running` has one. The other three have ended.",
        examples=["completed"],
    )
    mode: ModeName = Field(description="The mode in which the agents answered.")
    message: str = Field(description="The user's message.", examples=["@writer Describe Paris in one sentence."])
    error: ErrorView | None = Field(description="Why the turn failed. Null unless `failed`.")
    plan: PlanView | None = Field(description="The agents that answer. Null until it is known.")
    replies: list[ReplyView] = Field(
        description="Replies in the order of the plan. While the turn runs: the finished ones."
    )
    output: Text = Field(
        description="The text of one agent, or `Name: text` of each with a blank line between. In mode `council`: the"
        " chair's text."
    )
    reviews: list[ReviewView] | None = Field(
        default=None,
        description="The rankings in mode `council`. Null in other modes. Empty if fewer than three agents answered.",
    )
    standings: list[StandingView] | None = Field(
        default=None,
        description="The mean ranks in mode `council`, best first. Null in other modes. Empty if fewer than three"
        " agents answered.",
    )
    model_alias_used: Alias | None = Field(description="The alias of all replies. Null if they used several.")
    model_aliases_used: list[str] = Field(description="The aliases of the replies.", examples=[["fast", "deep"]])
    summary_triggered: bool = Field(description="Whether this turn started a summary.", examples=[False])
    fallbacks: list[FallbackView] = Field(description="Model answers that a fixed rule replaced.")
    usage: UsageView = Field(description="Tokens of all calls of the turn, with routing and summaries.")
    steps_finished: int = Field(description="Number of steps that have finished.", examples=[3])
    created_at: Time = Field(description="When the turn was accepted.")
    completed_at: Time | None = Field(description="When the turn ended. Null until then.")
    cost_usd: Amount = Field(description="The tenant's cost of the turn, in USD.")
    platform_cost_usd: Amount = Field(description="The platform's cost of the turn, in USD.")
