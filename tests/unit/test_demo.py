"""Tests that the demo's roster is valid and that each agent fits its model."""

from pathlib import Path

import pytest

from local import demo
from shared.catalog import build
from shared.catalog.file import read_catalog
from shared.roster.file import read_roster
from shared.settings import LlmProvider, Settings


@pytest.mark.parametrize(
    ("provider", "temperature", "cap"),
    [("local", 0.7, 64), ("openai", None, None), ("bedrock", None, None), ("scripted", 0.7, None)],
)
def test_demo_agent_has_settings_that_its_model_accepts(
    provider: LlmProvider, temperature: float | None, cap: int | None, tmp_path: Path
) -> None:
    catalog = build(Settings.model_construct(llm_provider=provider))
    demo.write_roster(tmp_path / "roster.toml", catalog)
    roster = read_roster(tmp_path / "roster.toml", catalog)
    writer = roster.agents["writer"]
    assert (writer.model_alias, writer.temperature, writer.max_output_tokens) == ("fast", temperature, cap)
    assert (writer.name, writer.enabled) == ("Writer", True)
    assert writer.role_prompt.startswith("You write clear, lively prose. Answer with the text itself, in at most")
    assert (tmp_path / "roster.toml").stat().st_mode & 0o777 == 0o600
    assert roster.councils["panel"].mode == "council"
    assert set(roster.councils["panel"].agent_keys) < set(roster.agents)


@pytest.mark.parametrize(("taken", "temperature"), [("0.5", 0.5), ("1.0", 0.7), ("false", None)])
def test_a_demo_agent_has_the_first_alias_if_the_catalog_lacks_its_own(
    taken: str, temperature: float | None, tmp_path: Path
) -> None:
    file = tmp_path / "catalog.toml"
    file.write_text(
        f"""
        [providers.scripted]
        kind = "scripted"
        [aliases.only]
        provider = "scripted"
        model_id = "model-1"
        context_window = 1000
        max_output_tokens = 100
        temperature = {taken}
        rates = {{ input = 1, output = 1, cache_read = 1, cache_write = 1 }}
        """
    )
    catalog = read_catalog(file)
    demo.write_roster(tmp_path / "roster.toml", catalog)
    roster = read_roster(tmp_path / "roster.toml", catalog)
    assert {agent.model_alias for agent in roster.agents.values()} == {"only"}
    assert roster.agents["writer"].temperature == temperature


def test_file_of_the_demo_is_a_valid_roster() -> None:
    roster = read_roster(demo.FILE, build(Settings.model_construct(llm_provider="scripted")))
    assert list(roster.agents) == ["writer", "researcher", "critic", "planner"]
