"""The modes of the council. A mode says who is asked, and in which order.

To add one, write a function of the council and put it into MODES: as it is, or as Checked if it refuses some rosters.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from shared.catalog import catalog
from shared.domain.conversation import Conversation
from shared.domain.turn import CALL, COUNCIL, Plan
from shared.errors import NoChair, RosterRefused
from shared.orchestration.council import Council
from shared.orchestration.reviews import MOST_MEMBERS
from shared.orchestration.tags import parse_tags


def manual(council: Council) -> None:
    """Ask the agents that the request names, else the tagged ones, else the roster's first."""
    requested = council.conversation.requested_agent_keys
    if requested:
        _ask_all(council, Plan(requested, "request"))
    else:
        tag(council)


def tag(council: Council) -> None:
    """Ask the tagged agents in order of appearance, else the roster's first."""
    roster = council.conversation.roster
    tags = parse_tags(council.conversation.message, roster)
    if tags.agent_keys:
        _ask_all(council, Plan(tags.agent_keys, "tags", tags.unknown))
    else:
        _ask_all(council, Plan((next(iter(roster)),), "default", tags.unknown))


def roundtable(council: Council) -> None:
    """Ask every agent of the roster in order. Each sees the replies before it."""
    for key in council.plan(Plan(tuple(council.conversation.roster), "roster")).selected_agent_keys:
        council.ask(key)


def orchestrator(council: Council) -> None:
    """Ask the agents that the routing manager selects, in its order."""
    for key in council.route().selected_agent_keys:
        council.ask(key)


def council(council: Council) -> None:
    """Ask all agents at the same time, let each rank the others' answers blindly, and let the chair conclude."""
    plan = Plan((*council.conversation.roster, council.conversation.chair), "roster")
    *members, chair = council.plan(plan).selected_agent_keys
    council.ask_together(members, chair)
    council.rank(chair)
    council.close(chair)


def call(council: Council) -> None:
    """Ask the one alias of a plain call."""
    _ask_all(council, Plan(tuple(council.conversation.roster), "request"))


def _check_council(conversation: Conversation) -> None:
    agent = conversation.roster.get(conversation.chair)
    if agent is None or agent.model_alias not in catalog():
        raise NoChair
    if len(conversation.roster) > MOST_MEMBERS:
        raise RosterRefused(f"In mode 'council' at most {MOST_MEMBERS} agents of a session can be enabled.")


@dataclass(frozen=True, slots=True)
class Checked:
    """A mode that refuses some sessions. `check` raises RosterRefused for the enabled agents of a conversation."""

    mode: Callable[[Council], None]
    check: Callable[[Conversation], None]

    def __call__(self, council: Council) -> None:
        self.mode(council)


def check_roster(mode: Callable[[Council], None], conversation: Conversation) -> None:
    """Let `mode` refuse the roster before its turn is accepted. Raises RosterRefused and NoChair."""
    if isinstance(mode, Checked):
        mode.check(conversation)


def _ask_all(council: Council, plan: Plan) -> None:
    council.ask_all(council.plan(plan).selected_agent_keys)


MODES: Mapping[str, Callable[[Council], None]] = MappingProxyType(
    {
        "manual": manual,
        "tag": tag,
        "roundtable": roundtable,
        "orchestrator": orchestrator,
        COUNCIL: Checked(council, _check_council),
        CALL: call,
    }
)
# Modes that ask their agents at the same time if the session's fan-out is parallel.
FANNED_OUT = frozenset({"manual", "tag"})
