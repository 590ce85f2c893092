"""Bodies of requests and answers about councils."""

from pydantic import BaseModel, Field

from functions.field_types import CouncilKey, Key, Keys, ModeName, Version
from shared.roster.bodies import CouncilBody
from shared.roster.fields import AgentKey


class NewCouncil(CouncilBody):
    """A council and its key."""

    key: AgentKey = Field(description="Key of the council. It never changes.", examples=["panel"])


class CouncilView(BaseModel):
    """A roster and a mode with a name, from which sessions are made."""

    key: CouncilKey = Field(description="Key of the council.")
    name: str = Field(description="Name of the council.", examples=["Panel"])
    mode: ModeName = Field(description="How a turn selects its agents.")
    agent_keys: Keys = Field(description="The roster, in order.")
    fan_out: str = Field(
        description="`sequential`: each agent sees the replies before its own. `parallel`: none does.",
        examples=["sequential"],
    )
    chair_key: Key | None = Field(
        description="The agent that concludes in mode `council`. Null: the first of `agent_keys`."
    )
    version: Version = Field(description="Version of the council, from 1.")
