"""The agents of the demo tenant: each takes what its model takes."""

import pytest

from local.demo import AGENTS, agent_fields
from shared.catalog import build
from shared.domain.agent import NO_CAP
from shared.settings import LlmProvider, Settings


@pytest.mark.parametrize(
    ("provider", "temperature", "cap"), [("local", 0.7, 64), ("openai", None, NO_CAP), ("scripted", 0.7, NO_CAP)]
)
def test_a_demo_agent_has_what_its_model_takes(provider: LlmProvider, temperature: float | None, cap: int) -> None:
    catalog = build(Settings.model_construct(llm_provider=provider))
    fields = agent_fields(AGENTS["writer"], catalog)
    assert (fields["model_alias"], fields["temperature"], fields["max_output_tokens"]) == ("fast", temperature, cap)
    assert (fields["name"], fields["enabled"]) == ("Writer", True)


def test_a_demo_agent_has_the_first_alias_if_the_catalog_lacks_its_own() -> None:
    catalog = build(Settings.model_construct(llm_provider="scripted"))
    assert agent_fields(AGENTS["critic"], {"fast": catalog["fast"]})["model_alias"] == "fast"
