"""Bodies of requests and answers about councils."""

from pydantic import BaseModel

from functions.schemas import AgentKey, Body, Chair, FanOut, Line, Mode, Roster


class CouncilBody(Body):
    name: Line
    mode: Mode
    agent_keys: Roster
    fan_out: FanOut = "sequential"
    chair_key: Chair = None


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
