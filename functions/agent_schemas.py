"""Bodies of requests and answers about agents."""

from pydantic import BaseModel, Field

from functions.field_types import Alias, Key, Time, Version
from shared.roster.bodies import AgentBody
from shared.roster.fields import AgentKey


class NewAgent(AgentBody):
    """An agent and its key."""

    key: AgentKey = Field(description="Key of the agent. It never changes.", examples=["writer"])


class AgentView(BaseModel):
    """A role, and the model that plays it."""

    key: Key = Field(description="Key of the agent.")
    name: str = Field(description="Name of the agent, shown before its replies.", examples=["Writer"])
    role_prompt: str = Field(description="The agent's instructions to its model.", examples=["You write short texts."])
    model_alias: Alias = Field(description="The model that answers for the agent.")
    max_output_tokens: int | None = Field(
        description="Most tokens of a reply. Null: the cap of the alias.", examples=[1024]
    )
    temperature: float | None = Field(description="From 0 to 2. Null: the provider's default.", examples=[0.7])
    enabled: bool = Field(description="Whether the agent answers.", examples=[True])
    version: Version = Field(description="Version of the agent, from 1.")


class AgentVersionView(AgentView):
    """An agent as it was from `created_at` on, until the next version."""

    created_at: Time = Field(description="When this version was made.")
