"""Tests the caps of the council's helpers: the settings, or else the needs of their aliases."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_args

import pytest

from shared.catalog import build, catalog
from shared.names import Env
from shared.settings import LlmProvider, Settings, settings
from shared.turns.policies import routing_policy, summary_policy

ALIAS = """
[aliases.{name}]
provider = "one"
model_id = "model-of-{name}"
context_window = 4096
max_output_tokens = 1024
rates = {{ input = "1", output = "1", cache_read = "1", cache_write = "1" }}
{thinking}
"""
KINDS = {
    "plain": "thinking = false",
    "unsaid": "",
    "thinker": "thinking = true",
    "between": 'thinking = "between_tools"',
}


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    """Settings with a catalog of one alias for each kind of thinking."""
    file = tmp_path / "models.toml"
    aliases = "".join(ALIAS.format(name=name, thinking=thinking) for name, thinking in KINDS.items())
    file.write_text(f'[providers.one]\nkind = "scripted"\n{aliases}')
    monkeypatch.setenv(Env.APP_DATABASE_URL, "postgresql://nowhere")
    monkeypatch.setenv(Env.CATALOG, str(file))
    yield monkeypatch
    settings.cache_clear()
    catalog.cache_clear()


def caps(choose: pytest.MonkeyPatch, alias: str, variables: Mapping[Env, str]) -> tuple[int, int]:
    """The output caps of routing and of summaries on this alias."""
    for name, value in {Env.ROUTING_ALIAS: alias, Env.SUMMARY_ALIAS: alias, **variables}.items():
        choose.setenv(name, value)
    settings.cache_clear()
    catalog.cache_clear()
    assert routing_policy().model_alias == alias
    return routing_policy().max_output_tokens, summary_policy().max_output_tokens


@pytest.mark.parametrize(
    ("alias", "expected"),
    [("plain", (256, 512)), ("unsaid", (256, 512)), ("thinker", (2048, 2048)), ("between", (2048, 2048))],
)
def test_a_helper_has_room_for_thinking_on_an_alias_that_thinks(
    choose: pytest.MonkeyPatch, alias: str, expected: tuple[int, int]
) -> None:
    assert caps(choose, alias, {}) == expected


@pytest.mark.parametrize("alias", KINDS)
def test_cap_of_the_settings_overrides_the_default(choose: pytest.MonkeyPatch, alias: str) -> None:
    assert caps(choose, alias, {Env.ROUTING_MAX_TOKENS: "100", Env.SUMMARY_MAX_TOKENS: "3000"}) == (100, 3000)


def test_summary_fits_into_the_smallest_window(choose: pytest.MonkeyPatch) -> None:
    caps(choose, "plain", {Env.SUMMARY_AFTER_TURNS: "5", Env.SUMMARY_AFTER_TOKENS: "900"})
    policy = summary_policy()
    assert (policy.after_turns, policy.after_tokens, policy.limits.characters) == (5, 900, 3072)


@pytest.mark.parametrize("provider", sorted({*get_args(LlmProvider)} - {"local", "scripted"}))
def test_the_aliases_of_a_packaged_cloud_catalog_have_room_for_thinking(provider: LlmProvider) -> None:
    models = build(Settings.model_construct(llm_provider=provider, max_call_s=None))
    assert {model.alias for model in models.values() if model.max_output_tokens < 2048} == set()
