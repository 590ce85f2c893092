"""The kinds of turns that faults are tried on: every mode, and every way through the protocol."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from tests.faults.actor import AMPLE_S
from tests.faults.world import Rule
from tests.support.fake_provider import moods

# The system prompts by which the provider recognises the agents and helpers.
WRITER, CRITIC, RESEARCHER = (f"You are {name}," for name in ("Writer", "Critic", "Researcher"))
ROUTING, SUMMARY_TEXT, SUMMARY_STRUCTURE = "You route messages", "You keep the memory", "You extract what"
REVIEW, CHAIR = "You judge answers", "You chair this council"
_ROUTED = json.dumps({"selected_agent_keys": ["critic", "writer"]})
# The lists have no `add` around them, because the release before reads no other shape in the drill.
_STRUCTURE = json.dumps({"key_facts": ["A fact."], "decisions": [], "open_questions": [], "action_items": []})
HELPERS = (
    Rule(moods.ok(_ROUTED), ROUTING, None),
    Rule(moods.ok("A summary."), SUMMARY_TEXT, None),
    Rule(moods.ok(_STRUCTURE), SUMMARY_STRUCTURE, None),
)
# A review ends with its letters. All answers differ, so that each letter can be traced to its answer.
_RANKED = tuple(
    Rule(moods.ok(json.dumps({"ranking": ranking})), f"letters once: {', '.join(sorted(ranking))}", None)
    for ranking in (["B", "A"], ["A", "C"], ["C", "B"])
)
_COUNCIL = (
    *_RANKED,
    Rule(moods.ok("The council's answer."), CHAIR, None),
    *(Rule(moods.ok(f"Answer {number}."), who, None) for number, who in enumerate((WRITER, CRITIC, RESEARCHER))),
)
# An empty answer is retried, and a filtered one is not. Both cost.
_COSTLY = (Rule(moods.empty(), WRITER), Rule(moods.content_filter("Half of"), CRITIC, None))
_NOTHING = Decimal(0)
_LONG = " ".join(["word"] * 800)


@dataclass(frozen=True)
class Scenario:
    """A message to a session of `mode`.

    `rules` precede the provider's usual ones. The worker runs a turn that is posted `later` or whose time is over
    (`seconds_left`). The platform may bear `allowance_usd` for it; None is the deployment's default.
    """

    message: str
    mode: str = "tag"
    fan_out: str = "sequential"
    rules: tuple[Rule, ...] = ()
    later: bool = False
    seconds_left: tuple[float, ...] = (AMPLE_S,)
    allowance_usd: Decimal | None = None


SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        "one agent": Scenario("@writer hello"),
        "sequential": Scenario("@writer @critic hello"),
        "after a failed step": Scenario("@writer @critic hello", rules=(Rule(moods.status(400), WRITER, None),)),
        "after a retry": Scenario("@writer @critic hello", rules=(Rule(moods.status(500), WRITER),)),
        "after a throttled call": Scenario(
            "@writer @critic hello", rules=(Rule(moods.status(429, retry_after=0.05), WRITER),)
        ),
        "after a fallback": Scenario("@researcher @writer hello", rules=(Rule(moods.status(500), RESEARCHER, 2),)),
        "every step fails": Scenario("@writer @critic hello", rules=(Rule(moods.status(400), "You are", None),)),
        "roundtable": Scenario("hello", "roundtable"),
        "orchestrator": Scenario("hello", "orchestrator"),
        "without a manager": Scenario("hello", "orchestrator", rules=(Rule(moods.html_200(), ROUTING, None),)),
        "parallel": Scenario("@writer @critic @researcher hello", fan_out="parallel"),
        "council": Scenario("hello", "council", rules=_COUNCIL),
        "council without a member": Scenario(
            "hello", "council", rules=(Rule(moods.status(400), CRITIC, None), *_COUNCIL)
        ),
        "council after retries": Scenario(
            "hello",
            "council",
            rules=(
                Rule(moods.status(500), WRITER),
                Rule(moods.empty(), REVIEW, 2),
                Rule(moods.status(429, retry_after=0.05), CHAIR),
                *_COUNCIL,
            ),
        ),
        "council without a chair": Scenario(
            "hello", "council", rules=(Rule(moods.status(400), CHAIR, None), *_COUNCIL)
        ),
        "council and summary": Scenario(_LONG, "council", rules=_COUNCIL),
        "council for later": Scenario("hello", "council", later=True, rules=_COUNCIL),
        "council beyond it": Scenario("hello", "council", rules=(*_COSTLY, *_COUNCIL), allowance_usd=_NOTHING),
        "summary": Scenario(f"@writer {_LONG}"),
        "orchestrator and summary": Scenario(_LONG, "orchestrator"),
        "posted for later": Scenario("@writer @critic hello", later=True),
        "handed over": Scenario("@writer @critic hello", seconds_left=(AMPLE_S, 0.0)),
        "attempts that cost": Scenario("@writer @critic hello", rules=_COSTLY),
        "attempts beyond the allowance": Scenario("@writer @critic hello", rules=_COSTLY, allowance_usd=_NOTHING),
        "attempts partly within it": Scenario(
            "@writer @critic hello", rules=_COSTLY, allowance_usd=Decimal("0.000006")
        ),
        "orchestrator beyond it": Scenario("hello", "orchestrator", allowance_usd=_NOTHING),
    }
)
