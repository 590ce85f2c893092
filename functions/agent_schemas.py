"""Bodies of requests and answers about agents."""

from datetime import datetime

from pydantic import BaseModel

from shared.roster.bodies import AgentBody
from shared.roster.fields import AgentKey


class NewAgent(AgentBody):
    key: AgentKey


class AgentView(BaseModel):
    key: str
    name: str
    role_prompt: str
    model_alias: str
    max_output_tokens: int | None
    temperature: float | None
    enabled: bool
    version: int


class AgentVersionView(AgentView):
    """An agent as it was from `created_at` on, until the next version."""

    created_at: datetime
