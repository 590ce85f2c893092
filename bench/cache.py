"""Measure how much of the prompts of a session of 30 turns is read from a provider's cache, and what that saves.

`before` are prompts whose window moves with every turn, without cache points. No model and no database is
needed, and every run gives the same figures.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from bench import report
from bench.caching_providers import CachingBedrock, CachingOpenAI
from shared.catalog import Model, build
from shared.domain.agent import Agent
from shared.domain.conversation import Conversation, PastTurn, Said
from shared.domain.money import Usage, cost
from shared.domain.summary import Summary
from shared.domain.turn import Purpose
from shared.llm.port import Completion, Provider, Request
from shared.llm.tokens import TokenEstimates
from shared.orchestration.history_window import keep_full, keep_in_steps
from shared.orchestration.prompts import Prompts
from shared.settings import LlmProvider, Settings
from shared.summary.policy import SummaryPolicy
from shared.summary.summarise import TEXT, summarise

TURNS: Final = 30
_SECONDS_BETWEEN: Final = 60.0
_OUTPUT_TOKENS: Final = 400
_ANSWER: Final = "I would first find out who needs it and by when, and only then decide. " * 14
_QUESTION: Final = "What do we do about the launch, and who has to know of it before we start? " * 4
_ROLE: Final = "You read what the others propose, and say what is missing, what it costs and who decides it. " * 16
_SUMMARY: Final = "They plan a launch, and look for those who need it. " * 12
_NEVER: Final = SummaryPolicy(after_turns=TURNS + 1, after_tokens=10**9)


@dataclass(frozen=True)
class Case:
    """A session: how many agents answer in each turn, when summaries are due, and the window in tokens."""

    name: str
    agents: int
    policy: SummaryPolicy = SummaryPolicy()  # noqa: RUF009 a frozen value
    window: int = 64_000


CASES: Final = (
    Case("1 agent, summaries", 1),
    Case("1 agent, a full window", 1, _NEVER, 8_000),
    Case("roundtable of 3, summaries", 3),
    Case("roundtable of 3, a full window", 3, _NEVER, 16_000),
)
PROVIDERS: Final[tuple[LlmProvider, ...]] = ("openai", "bedrock")


@dataclass(frozen=True)
class Measured:
    """The tokens of all calls of agents, and the cost of their prompts in USD."""

    usage: Usage
    usd: Decimal

    @property
    def share(self) -> float:
        """Return the share of prompt tokens that were read from the cache."""
        return self.usage.cache_read_tokens / self.usage.prompt_tokens


def measure(case: Case, provider: LlmProvider, *, cached: bool) -> Measured:
    """Take the turns of a session. If `cached`, with steps, cache points and keys."""
    return _Session(case, provider, cached=cached).measured()


class _Session:
    def __init__(self, case: Case, provider: LlmProvider, *, cached: bool) -> None:
        entry = build(Settings.model_construct(llm_provider=provider, max_call_s=None))["fast"]
        dialect = entry.dialect if cached else replace(entry.dialect, cache_minimum=None)
        self._model = replace(entry, context_window=case.window, dialect=dialect)
        self._case = case
        self._cached = cached
        self._seconds = 0.0
        self._provider = self._caching(provider, entry)
        self._estimates = TokenEstimates()
        agents = [_agent(f"agent-{number}") for number in range(case.agents)]
        self._talk = Conversation(MappingProxyType({agent.key: agent for agent in agents}), (), _QUESTION)

    def measured(self) -> Measured:
        usage = Usage()
        for turn_index in range(1, TURNS + 1):
            usage += self._take(turn_index)
            self._seconds += _SECONDS_BETWEEN
        return Measured(usage, cost(self._model.rates, replace(usage, output_tokens=0)))

    def _take(self, turn_index: int) -> Usage:
        usage, said = Usage(), list[Said]()
        talk = replace(self._talk, message=f"{turn_index}. {_QUESTION}")
        prompts = Prompts(talk, keep_in_steps if self._cached else keep_full)
        for agent in talk.roster.values():
            answer = self._ask(agent, prompts, said)
            usage += answer.usage
            said.append(Said(agent.key, agent.name, f"{turn_index}. {answer.text}"))
        made = summarise(talk, turn_index, said, self._case.policy, _ask_helper)
        summary: Summary | None = made.summary if made else talk.summary
        history = (*talk.history, PastTurn(talk.message, tuple(said), turn_index))
        self._talk = replace(talk, history=history, summary=summary)
        return usage

    def _ask(self, agent: Agent, prompts: Prompts, said: list[Said]) -> Completion:
        messages = prompts.for_agent(agent, said, self._estimates.room(self._model, _OUTPUT_TOKENS))
        key = agent.key if self._cached else None
        request = Request("", "", self._model, messages, _OUTPUT_TOKENS, cache_key=key, continues=self._cached)
        return self._provider.complete(request)

    def _caching(self, provider: LlmProvider, entry: Model) -> Provider:
        if provider == "openai":
            return CachingOpenAI(_ANSWER)
        return CachingBedrock(_ANSWER, entry.dialect.cache_minimum or 0, lambda: self._seconds)


def _agent(key: str) -> Agent:
    return Agent(key, 1, key.title(), f"You are {key}. {_ROLE}", "fast", _OUTPUT_TOKENS, None, enabled=True)


def _ask_helper(
    purpose: Purpose,
    build: object,  # noqa: ARG001 the prompt is not read
    schema: Mapping[str, object] | None = None,  # noqa: ARG001
) -> tuple[int, Completion]:
    answer = _SUMMARY if purpose == TEXT else '{"add": {"key_facts": ["The launch is on the third of May."]}}'
    return 0, Completion("succeeded", answer, "end_turn")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--print", action="store_true", dest="only_print", help="leave the page as it is")
    columns = ("provider", "session", "read from cache before", "now", "prompts cost before", "now", "saved")
    rows = [_row(provider, case) for provider in PROVIDERS for case in CASES]
    what = f"{TURNS} turns, one a minute; prompts of the alias `fast`, a token is four bytes"
    report.write("cache", columns, rows, what, only_print=parser.parse_args().only_print)


def _row(provider: LlmProvider, case: Case) -> tuple[str, ...]:
    before, now = (measure(case, provider, cached=cached) for cached in (False, True))
    return (
        provider,
        case.name,
        f"{before.share:.0%}",
        f"{now.share:.0%}",
        f"{before.usd:.4f} USD",
        f"{now.usd:.4f} USD",
        f"{1 - now.usd / before.usd:.0%}",
    )


if __name__ == "__main__":
    main()
