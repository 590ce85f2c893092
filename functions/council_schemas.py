"""Bodies of requests and answers about councils."""

from pydantic import BaseModel

from shared.roster.bodies import CouncilBody
from shared.roster.fields import AgentKey


class NewCouncil(CouncilBody):
    key: AgentKey


class CouncilView(BaseModel):
    """`chair_key` is the agent that concludes in mode `council`; null is the first of `agent_keys`."""

    key: str
    name: str
    mode: str
    agent_keys: list[str]
    fan_out: str
    chair_key: str | None
    version: int
