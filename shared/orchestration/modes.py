"""The modes of the council. A mode says who is asked, and in which order; everything hard sits behind `ask`.

To add one, write a function of the council and put it into MODES.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from shared.domain.turn import Plan
from shared.orchestration.council import Council
from shared.orchestration.tags import parse_tags


def manual(council: Council) -> None:
    """The agents that the request names, else the tagged ones, else the default agent."""
    requested = council.conversation.requested_agent_keys
    if requested:
        _ask_all(council, Plan(requested, "request"))
    else:
        tag(council)


def tag(council: Council) -> None:
    """The tagged agents in order of appearance, else the roster's first."""
    roster = council.conversation.roster
    tags = parse_tags(council.conversation.message, roster)
    if tags.agent_keys:
        _ask_all(council, Plan(tags.agent_keys, "tags", tags.unknown))
    else:
        _ask_all(council, Plan((next(iter(roster)),), "default", tags.unknown))


def roundtable(council: Council) -> None:
    """Every agent of the roster, in order, each after having heard those before it."""
    for key in council.plan(Plan(tuple(council.conversation.roster), "roster")).selected_agent_keys:
        council.ask(key)


def orchestrator(council: Council) -> None:
    """Those whom the routing manager selects, in its order."""
    for key in council.route().selected_agent_keys:
        council.ask(key)


def _ask_all(council: Council, plan: Plan) -> None:
    council.ask_all(council.plan(plan).selected_agent_keys)


MODES: Mapping[str, Callable[[Council], None]] = MappingProxyType(
    {"manual": manual, "tag": tag, "roundtable": roundtable, "orchestrator": orchestrator}
)
