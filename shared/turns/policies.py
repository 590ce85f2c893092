"""Read the policies of routing and summaries from the settings."""

from typing import Final

from shared.catalog import catalog
from shared.orchestration.routing import RoutingPolicy
from shared.settings import settings
from shared.summary.merge import Limits
from shared.summary.policy import SummaryPolicy

# The output caps of helpers, in tokens. A thinking model spends its thinking from the cap.
_ROUTING: Final = 256
_SUMMARY: Final = 512
_THINKING: Final = 2048


def routing_policy() -> RoutingPolicy:
    values = settings()
    cap = values.routing_max_tokens or _usual_cap(values.routing_alias, _ROUTING)
    return RoutingPolicy(values.routing_alias, cap, values.routing_max_agents)


def summary_policy() -> SummaryPolicy:
    values = settings()
    cap = values.summary_max_tokens or _usual_cap(values.summary_alias, _SUMMARY)
    limits = Limits.within(min(model.context_window for model in catalog().values()))
    return SummaryPolicy(cap, values.summary_after_turns, values.summary_after_tokens, limits)


def _usual_cap(alias: str, without_thinking: int) -> int:
    # `thinking` is True, or the name of its kind.
    return _THINKING if catalog()[alias].dialect.thinking else without_thinking
