"""Bodies of requests and answers about agents."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from functions.schemas import AgentKey, Body, Line, Prompt


class AgentBody(Body):
    name: Line
    role_prompt: Prompt
    model_alias: str
    # Null is the cap of the alias.
    max_output_tokens: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    temperature: Annotated[float | None, Field(ge=0, le=2, allow_inf_nan=False)] = None
    enabled: bool = True


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
