"""An agent and a council as the API's bodies and the tables of roster files have them."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from shared.catalog import Model
from shared.roster.fields import Body, Chair, FanOut, Line, Mode, Prompt, Roster


class AgentBody(Body):
    name: Line
    role_prompt: Prompt
    model_alias: str
    # Null is the cap of the alias.
    max_output_tokens: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    temperature: Annotated[float | None, Field(ge=0, le=2, allow_inf_nan=False)] = None
    enabled: bool = True


class CouncilBody(Body):
    name: Line
    mode: Mode
    agent_keys: Roster
    fan_out: FanOut = "sequential"
    chair_key: Chair = None


def find_fault(agent: AgentBody, catalog: Mapping[str, Model]) -> tuple[str, str] | None:
    """The field that the alias of the agent does not accept, and the reason: an unknown alias, a cap above that of the
    alias, or a temperature that its model does not take."""
    model = catalog.get(agent.model_alias)
    if model is None:
        return "model_alias", f"must be one of: {', '.join(catalog)}."
    tokens = agent.max_output_tokens
    if tokens is not None and tokens > model.max_output_tokens:
        cap = f"{model.max_output_tokens}, the cap of the alias '{model.alias}'"
        return "max_output_tokens", f"must be at most {cap}, or null for this cap."
    if agent.temperature is None:
        return None
    match model.dialect.temperature:
        case False:
            return "temperature", f"must be null: the alias '{model.alias}' takes none."
        case float(highest) if agent.temperature > highest:
            most = f"{highest:g}, the highest that the alias '{model.alias}' takes"
            return "temperature", f"must be at most {most}, or null."
    return None
