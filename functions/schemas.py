"""Bodies of answers about the service, of errors, and of lists."""

from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, Field

from functions.field_types import Alias, Rate, TenantId, UserId

Item = TypeVar("Item")


class HealthView(BaseModel):
    """The state of the service."""

    status: Literal["ok", "unavailable"] = Field(description="`unavailable` if a check fails.", examples=["ok"])
    version: str = Field(description="Version of Pantheon.", examples=["0.2.0"])
    commit: str | None = Field(
        description="The commit that is deployed. Null if it is unknown.",
        examples=["b8c1ef8c9f3d2e1a0b4c5d6e7f8091a2b3c4d5e6"],
    )
    stage: str = Field(description="Name of the stage. `local` on a developer's machine.", examples=["prod"])
    checks: dict[str, str] = Field(
        description="The result of each check. A failing one begins with `failing: `. `checkpointer` is present only"
        " with graphs: `postgres` or `memory`.",
        examples=[{"database": "ok", "migration": "0001", "journal": "ok"}],
    )


class MeView(BaseModel):
    """The caller, as its token or API key says."""

    user_id: UserId = Field(description="Id of the user.")
    tenant_id: TenantId = Field(description="Id of the tenant.")
    email: str | None = Field(description="E-mail address. Null without one.", examples=["ada@example.org"])
    roles: list[str] = Field(description="Roles of the caller.", examples=[["member", "admin"]])


class RatesView(BaseModel):
    """Prices in USD per million tokens, as decimal strings."""

    input: Rate = Field(description="Prompt tokens.")
    output: Rate = Field(description="Tokens of the answer.")
    cache_read: Rate = Field(description="Prompt tokens that the provider reads from its cache.")
    cache_write: Rate = Field(description="Prompt tokens that the provider writes to its cache.")
    reasoning: Rate = Field(description="Tokens of thinking.")
    cache_write_1h: Rate | None = Field(
        default=None,
        exclude_if=lambda rate: rate is None,
        description="Tokens that the cache keeps for an hour. Missing if the provider has no such price.",
    )


class ModelView(BaseModel):
    """A model that agents can use."""

    alias: Alias = Field(description="Name of the model in this deployment.")
    provider: str = Field(description="Name of the provider in the catalog.", examples=["bedrock"])
    model_id: str = Field(description="The provider's name of the model.", examples=["gpt-5-mini"])
    context_window: int = Field(description="Most tokens of prompt and answer together.", examples=[400_000])
    max_output_tokens: int = Field(description="Most tokens of an answer.", examples=[4096])
    max_call_s: float = Field(description="Longest time of a call, in seconds.", examples=[60])
    fallback_alias: Alias | None = Field(description="The alias that is asked if this one fails. Null: none.")
    rates: RatesView = Field(description="Prices in USD per million tokens.")


class ProblemView(BaseModel):
    """An error of a function, by RFC 9457. Some codes add members, such as `errors` or `active_turn_id`."""

    type: str = Field(description="A URN that ends in the code.", examples=["urn:pantheon:problem:not_found"])
    title: str = Field(description="The HTTP status in words.", examples=["Not Found"])
    status: int = Field(description="The HTTP status.", examples=[404])
    code: str = Field(description="A stable code for programs.", examples=["not_found"])
    detail: str = Field(
        description="A sentence for people. It can change.", examples=["There is nothing at this address."]
    )
    request_id: str = Field(
        description="Id of the request in the logs.", examples=["c6af9ac6-7b61-11e6-9a41-93e8deadbeef"]
    )


class PageOf(BaseModel, Generic[Item]):
    """A page of a list."""

    items: list[Item] = Field(description="The items of this page.")
    next_cursor: str | None = Field(
        description="Send it as `cursor` to get the next page. Null: this is the last page.", examples=["WzRd"]
    )
