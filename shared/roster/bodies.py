"""The fields of agents and councils in API bodies and roster files."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from shared.catalog import Model
from shared.roster.fields import Body, Chair, FanOut, Line, Mode, Prompt, Roster


class AgentBody(Body):
    name: Line
    role_prompt: Prompt
    model_alias: str
    # Null: the cap of the alias.
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
    """Return the field that the agent's alias does not accept, and the reason: an unknown alias, a cap above the
    alias's, or a temperature that its model does not take."""
    if fault := find_cap_fault(agent, {alias: model.max_output_tokens for alias, model in catalog.items()}):
        return fault
    if agent.temperature is None:
        return None
    model = catalog[agent.model_alias]
    match model.dialect.temperature:
        case False:
            return "temperature", f"must be null: the alias '{model.alias}' takes none."
        case float(highest) if agent.temperature > highest:
            most = f"{highest:g}, the highest that the alias '{model.alias}' takes"
            return "temperature", f"must be at most {most}, or null."
    return None


def find_cap_fault(agent: AgentBody, caps: Mapping[str, int]) -> tuple[str, str] | None:
    """Do as `find_fault` does, for a caller that knows only each alias's cap in tokens."""
    alias, tokens = agent.model_alias, agent.max_output_tokens
    if alias not in caps:
        return "model_alias", f"must be one of: {', '.join(caps)}."
    if tokens is not None and tokens > caps[alias]:
        cap = f"{caps[alias]}, the cap of the alias '{alias}'"
        return "max_output_tokens", f"must be at most {cap}, or null for this cap."
    return None
