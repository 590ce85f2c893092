"""The fields of agents and councils in API bodies and roster files."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from shared.catalog import Model
from shared.roster.fields import Body, Chair, FanOut, Line, Mode, Prompt, Roster


class AgentBody(Body):
    """The fields of an agent that can change."""

    name: Line = Field(
        description="Name of the agent, shown before its replies. One line, without @ and backticks.",
        examples=["Writer"],
    )
    role_prompt: Prompt = Field(
        description="The agent's instructions to its model, at most 32 KiB of UTF-8.",
        examples=["You write short texts."],
    )
    model_alias: str = Field(description="The model that answers for the agent.", examples=["fast"])
    max_output_tokens: Annotated[int | None, Field(ge=1, le=1_000_000)] = Field(
        default=None,
        description="Most tokens of a reply, at most the cap of the alias. Null: that cap.",
        examples=[1024],
    )
    temperature: Annotated[float | None, Field(ge=0, le=2, allow_inf_nan=False)] = Field(
        default=None, description="From 0 to 2. Null: the provider's default.", examples=[0.7]
    )
    enabled: bool = Field(default=True, description="Whether the agent answers.", examples=[True])


class CouncilBody(Body):
    """The fields of a council that can change."""

    name: Line = Field(description="Name of the council. One line, without @ and backticks.", examples=["Panel"])
    mode: Mode = Field(description="How a turn selects its agents.", examples=["roundtable"])
    agent_keys: Roster = Field(
        description="The roster: 1 to 32 keys of agents, in order.", examples=[["writer", "critic"]]
    )
    fan_out: FanOut = Field(
        default="sequential",
        description="`sequential`: each agent sees the replies before its own. `parallel`: none does.",
        examples=["sequential"],
    )
    chair_key: Chair = Field(
        default=None,
        description="The agent that concludes in mode `council`. Null: the first of `agent_keys`.",
        examples=["writer"],
    )


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
