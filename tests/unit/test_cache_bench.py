"""Tests that the caching fakes count as providers do, and that prompts of 30 turns are read from their caches."""

from dataclasses import replace
from typing import Any

import pytest

from bench.cache import CASES, PROVIDERS, Case, measure
from bench.caching_providers import CachingBedrock, CachingOpenAI
from shared.catalog import Model, build
from shared.domain.money import Usage
from shared.llm.port import Message, Request
from shared.settings import LlmProvider, Settings

# The share of the prompts that is read from the cache at least, and the money that is saved at least.
LEAST = {
    "openai": {"1 agent, summaries": (0.7, 0.0), "1 agent, a full window": (0.75, 0.6)}
    | {"roundtable of 3, summaries": (0.5, 0.0), "roundtable of 3, a full window": (0.7, 0.55)},
    "bedrock": {"1 agent, summaries": (0.7, 0.55), "1 agent, a full window": (0.75, 0.65)}
    | {"roundtable of 3, summaries": (0.5, 0.3), "roundtable of 3, a full window": (0.7, 0.6)},
}
HALF = "x" * 4 * 600


def model(provider: LlmProvider, minimum: int | None = None) -> Model:
    entry = build(Settings.model_construct(llm_provider=provider, max_call_s=None))["fast"]
    return replace(entry, dialect=replace(entry.dialect, cache_minimum=minimum))


def asked(entry: Model, *texts: str, **more: Any) -> Request:
    roles = ("system", "user", "assistant", "user")
    messages = tuple(Message(role, text) for role, text in zip(roles, texts, strict=False))  # type: ignore[arg-type]
    return Request("", "", entry, messages, 100, continues=True, **more)


def counted(usage: Usage) -> tuple[int, int, int]:
    return usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens


def test_the_openai_fake_reads_prefixes_in_steps_from_the_minimum_on() -> None:
    fake, entry = CachingOpenAI("Yes."), model("openai")
    # The fake writes these before the texts. With them, the first prompt has 1,024 tokens.
    marks = len("<|system|>") + len("<|user|>")
    assert counted(fake.complete(asked(entry, HALF, "y" * (4 * 424 - marks))).usage) == (1024, 0, 0)
    assert counted(fake.complete(asked(entry, HALF, "y" * (4 * 424 - marks))).usage) == (0, 1024, 0)
    assert counted(fake.complete(asked(entry, HALF, "y" * (4 * 424 - marks) + "z" * 800)).usage) == (200, 1024, 0)
    assert counted(fake.complete(asked(entry, HALF, "y" * (4 * 424 - marks) + "z" * 800)).usage) == (72, 1152, 0)
    assert counted(fake.complete(asked(entry, HALF, "y" * (4 * 424 - marks) + "q" * 800)).usage) == (200, 1024, 0)


def test_the_openai_fake_reads_nothing_of_a_short_or_another_prompt() -> None:
    fake, entry = CachingOpenAI("Yes."), model("openai")
    for _ in range(2):
        assert fake.complete(asked(entry, HALF, "y" * 1600)).usage.cache_read_tokens == 0
    fake.complete(asked(entry, HALF, HALF))
    assert fake.complete(asked(entry, "z" + HALF, HALF)).usage.cache_read_tokens == 0


def test_the_openai_fake_keeps_the_prompts_of_each_key_apart() -> None:
    fake, entry = CachingOpenAI("Yes."), model("openai")
    fake.complete(asked(entry, HALF, HALF, cache_key="one"))
    assert fake.complete(asked(entry, HALF, HALF, cache_key="two")).usage.cache_read_tokens == 0
    assert fake.complete(asked(entry, HALF, HALF, cache_key="one")).usage.cache_read_tokens == 1152


def test_the_bedrock_fake_writes_and_reads_the_prompt_before_cache_points() -> None:
    now = [0.0]
    fake, entry = CachingBedrock("Yes.", 1000, lambda: now[0]), model("bedrock", 1000)
    assert counted(fake.complete(asked(entry, HALF, HALF)).usage) == (0, 0, 1200)
    now[0] += 299
    assert counted(fake.complete(asked(entry, HALF, HALF, "y" * 400, "z" * 40)).usage) == (0, 1200, 110)
    now[0] += 299
    # The hit above kept the first prefix.
    assert counted(fake.complete(asked(entry, HALF, HALF)).usage) == (0, 1200, 0)
    now[0] += 300
    assert counted(fake.complete(asked(entry, HALF, HALF)).usage) == (0, 0, 1200)


def test_the_bedrock_fake_caches_nothing_below_its_minimum_or_without_points() -> None:
    for minimum, points in ((2000, 1000), (1000, None)):
        fake, entry = CachingBedrock("Yes.", minimum, lambda: 0.0), model("bedrock", points)
        for _ in range(2):
            assert counted(fake.complete(asked(entry, HALF, HALF)).usage) == (1200, 0, 0)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_prompts_of_a_session_are_read_from_the_cache(provider: LlmProvider, case: Case) -> None:
    before, now = (measure(case, provider, cached=cached) for cached in (False, True))
    share, saved = LEAST[provider][case.name]
    assert now.share >= share
    assert 1 - now.usd / before.usd >= saved
    # A full window held more turns before.
    assert now.usage.prompt_tokens <= before.usage.prompt_tokens
    if provider == "bedrock":
        assert before.share == 0


def test_figures_are_the_same_in_every_run() -> None:
    assert measure(CASES[1], "bedrock", cached=True) == measure(CASES[1], "bedrock", cached=True)
