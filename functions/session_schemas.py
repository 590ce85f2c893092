"""Bodies of requests and answers about sessions."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from functions.field_types import Id, Key, Keys, ModeName, Time, UserId
from shared.roster.fields import AgentKey, Body, Chair, FanOut, Mode, Roster, Title

Visibility = Literal["private", "tenant"]
_FAN_OUT = "`sequential`: each agent sees the replies before its own. `parallel`: none does."
_CHAIR = "The agent that concludes in mode `council`. Null: the first of `agent_keys`."
_VISIBILITY = "`private`: its creator and admins see the session. `tenant`: every member reads and posts."
_ROSTER = "The roster: 1 to 32 keys of agents, in order."


class NewSession(Body):
    """Either `council_key`, or a mode and a roster of its own."""

    title: Title = Field(default="", description="Up to 200 characters.", examples=["Paris"])
    council_key: AgentKey | None = Field(
        default=None,
        description="Copy mode, agents, fan-out and chair of this council. Null: the fields below say them.",
        examples=["panel"],
    )
    mode: Mode = Field(default="manual", description="How a turn selects its agents.", examples=["roundtable"])
    # Validated without a value too, because a session needs a roster or a council.
    agent_keys: Annotated[Roster | None, Field(validate_default=True)] = Field(
        default=None, description=f"{_ROSTER} Required without `council_key`.", examples=[["writer", "critic"]]
    )
    fan_out: FanOut = Field(default="sequential", description=_FAN_OUT, examples=["sequential"])
    chair_key: Chair = Field(default=None, description=_CHAIR, examples=["writer"])
    visibility: Visibility = Field(default="private", description=_VISIBILITY, examples=["private"])

    @field_validator("mode", "agent_keys", "fan_out", "chair_key", mode="before")
    @classmethod
    def _not_beside_a_council(cls, value: object, info: ValidationInfo) -> object:
        # Null is the same as not given.
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
    """The fields to change. Null changes nothing, except in `chair_key`."""

    title: Title | None = Field(default=None, description="Up to 200 characters.", examples=["Paris"])
    mode: Mode | None = Field(default=None, description="How a turn selects its agents.", examples=["tag"])
    agent_keys: Roster | None = Field(default=None, description=_ROSTER, examples=[["writer", "critic"]])
    fan_out: FanOut | None = Field(default=None, description=_FAN_OUT, examples=["parallel"])
    chair_key: Chair = Field(default=None, description=_CHAIR, examples=["writer"])
    visibility: Visibility | None = Field(default=None, description=_VISIBILITY, examples=["tenant"])


class SessionView(BaseModel):
    """A roster, a mode, and the turns that belong to them."""

    id: Id = Field(description="Id of the session, a UUIDv7.")
    title: str = Field(description="The title. It can be empty.", examples=["Paris"])
    mode: ModeName = Field(description="How a turn selects its agents.")
    agent_keys: Keys = Field(description="The roster, in order.")
    fan_out: str = Field(description=_FAN_OUT, examples=["sequential"])
    chair_key: Key | None = Field(description=_CHAIR)
    created_by: UserId = Field(description="Id of the user who made the session.")
    visibility: Visibility = Field(description=_VISIBILITY, examples=["private"])
    origin: Literal["api", "chat"] = Field(
        description="`chat`: a request to `/v1/chat/completions` made the session.", examples=["api"]
    )
    model: Key | None = Field(description="The model that the chat program asked for. Null with origin `api`.")
    imported: bool = Field(
        description="Whether the session began with a history that a chat program sent.", examples=[False]
    )
    created_at: Time = Field(description="When the session was made.")
    updated_at: Time = Field(description="When the session last changed.")
