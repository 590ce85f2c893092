"""Tests the council: its plan, the order of its agents, and agents that cannot answer."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from uuid import uuid4

import pytest

from shared.catalog import Dialect, Model, build
from shared.domain.agent import Agent
from shared.domain.conversation import Conversation
from shared.domain.money import ZERO, Usage, cost
from shared.domain.problem import problem
from shared.domain.turn import Fallback, Plan, Reply
from shared.llm.port import Completion, Message
from shared.llm.scripted import ScriptedProvider
from shared.orchestration.attempts import Asker, OutOfTime
from shared.orchestration.council import Council
from shared.orchestration.modes import MODES
from shared.orchestration.steps import Attempt
from shared.settings import Settings
from tests.support.memory_journal import MemoryJournal
from tests.support.quoted import quoted

CATALOG = build(Settings.model_construct(llm_provider="scripted", max_call_s=None))
ROSTER = {
    key: Agent(key, version, key.title(), f"You are the {key}.", "fast", 256, None, enabled=True)
    for version, key in enumerate(("writer", "researcher", "critic"), 1)
}
REFUSED = Completion("unbilled", error="refused")


class Sitting:
    """A council with a scripted provider and a journal in memory."""

    def __init__(
        self,
        message: str = "Hello.",
        *,
        requested: tuple[str, ...] | None = None,
        journal: MemoryJournal | None = None,
        stored_plan: Plan | None = None,
        agents: Sequence[Agent] = (),
        seconds_left: float = 900.0,
        catalog: Mapping[str, Model] = CATALOG,
    ) -> None:
        self.journal = journal or MemoryJournal()
        self.provider = ScriptedProvider()
        self.roster = ROSTER | {agent.key: agent for agent in agents}
        asker = Asker(uuid4(), catalog, self.provider, self.journal, lambda: seconds_left)
        conversation = Conversation(MappingProxyType(self.roster), (), message, requested)
        self.council = Council(conversation, asker, stored_plan)

    def ask(self, *keys: str) -> list[Reply]:
        self.council.plan(Plan(keys, "roster"))
        return [self.council.ask(key) for key in keys]

    def heard(self, call: int) -> str:
        return self.provider.requests[call].messages[-1].text


def statuses(replies: Sequence[Reply]) -> list[tuple[int, str, str, str | None]]:
    return [(r.position, r.agent_key, r.status, r.error.code if r.error else None) for r in replies]


class TestPlan:
    def test_council_refuses_to_ask_an_agent_without_a_plan(self) -> None:
        sitting = Sitting()
        with pytest.raises(AssertionError, match="writer"):
            sitting.council.ask("writer")
        assert sitting.journal.log == []

    @pytest.mark.parametrize("key", ["researcher", "critic", "nobody"])
    def test_council_refuses_to_ask_an_agent_outside_its_plan(self, key: str) -> None:
        sitting = Sitting()
        sitting.council.plan(Plan(("writer", "researcher"), "tags"))
        with pytest.raises(AssertionError, match=key):
            sitting.council.ask(key)
        assert sitting.journal.log == []

    def test_a_plan_with_an_agent_outside_the_roster_is_an_error(self) -> None:
        sitting = Sitting()
        with pytest.raises(AssertionError, match="roster"):
            sitting.council.plan(Plan(("writer", "stranger"), "tags"))
        assert sitting.council.current_plan is None

    def test_council_refuses_to_ask_an_agent_more_often_than_planned(self) -> None:
        sitting = Sitting()
        sitting.ask("writer")
        with pytest.raises(AssertionError, match="position 1"):
            sitting.council.ask("writer")

    def test_council_asks_an_agent_twice_when_planned(self) -> None:
        sitting = Sitting()
        replies = sitting.ask("writer", "critic", "writer")
        assert [reply.agent_key for reply in replies] == ["writer", "critic", "writer"]
        assert [ask.step for ask in sitting.journal.asks] == [0, 1, 2]

    def test_the_plan_goes_into_the_journal_with_each_intent(self) -> None:
        sitting = Sitting("@critic")
        MODES["tag"](sitting.council)
        assert [ask.plan for ask in sitting.journal.asks] == [Plan(("critic",), "tags")]

    def test_stored_plan_overrides_the_declared_one(self) -> None:
        stored = Plan(("critic", "writer"), "routing", ("nobody",))
        sitting = Sitting("@researcher", stored_plan=stored)
        assert sitting.council.plan(Plan(("researcher",), "tags")) == stored
        MODES["tag"](sitting.council)
        assert [reply.agent_key for reply in sitting.council.replies] == ["critic", "writer"]
        assert sitting.council.current_plan == stored


class TestModes:
    @pytest.mark.parametrize(
        ("mode", "message", "requested", "plan"),
        [
            ("manual", "@critic", ("researcher", "writer"), Plan(("researcher", "writer"), "request")),
            ("manual", "@critic @Writer", None, Plan(("critic", "writer"), "tags")),
            ("manual", "hello", None, Plan(("writer",), "default")),
            ("tag", "@critic @nobody @writer", None, Plan(("critic", "writer"), "tags", ("nobody",))),
            ("tag", "@nobody", None, Plan(("writer",), "default", ("nobody",))),
            ("tag", "hello", None, Plan(("writer",), "default")),
            ("roundtable", "@critic", None, Plan(("writer", "researcher", "critic"), "roster")),
        ],
    )
    def test_mode_chooses_the_agents_and_asks_them_in_order(
        self, mode: str, message: str, requested: tuple[str, ...] | None, plan: Plan
    ) -> None:
        sitting = Sitting(message, requested=requested)
        MODES[mode](sitting.council)
        assert sitting.council.current_plan == plan
        assert [reply.agent_key for reply in sitting.council.replies] == list(plan.selected_agent_keys)
        assert [reply.position for reply in sitting.council.replies] == list(range(len(plan.selected_agent_keys)))


class TestReplies:
    def test_reply_has_the_text_usage_and_price_of_its_attempt(self) -> None:
        sitting = Sitting()
        usage = Usage(10, 4, 3, 2, 1)
        sitting.provider.enqueue(Completion("succeeded", "  A text.\n", "max_tokens", usage))
        price = cost(CATALOG["fast"].rates, usage)
        assert sitting.ask("researcher") == [
            Reply(
                0, "researcher", 2, "Researcher", "completed", "  A text.\n", "max_tokens", None, "fast", usage, price
            )
        ]

    def test_an_agent_sees_the_completed_replies_before_it_and_no_error(self) -> None:
        sitting = Sitting()
        sitting.provider.enqueue("First.", REFUSED, "Third.")
        sitting.ask("writer", "researcher", "critic")
        assert sitting.heard(0) == "Hello."
        assert sitting.heard(1).endswith(quoted("Writer", "First."))
        assert sitting.heard(2).endswith(quoted("Writer", "First."))
        assert "refused" not in sitting.heard(2)
        assert "Researcher" not in sitting.heard(2)

    def test_a_failed_agent_does_not_stop_its_siblings(self) -> None:
        sitting = Sitting()
        sitting.provider.enqueue("First.", REFUSED, "Third.")
        replies = sitting.ask("writer", "researcher", "critic")
        assert statuses(replies) == [
            (0, "writer", "completed", None),
            (1, "researcher", "failed", "refused"),
            (2, "critic", "completed", None),
        ]
        assert replies[1] == Reply(1, "researcher", 2, "Researcher", "failed", error=problem("refused"))
        assert [ask.step for ask in sitting.journal.asks] == [0, 1, 2]

    def test_an_agent_of_another_catalog_is_skipped_alone_and_uses_up_its_step(self) -> None:
        lost = replace(ROSTER["researcher"], model_alias="gone")
        sitting = Sitting(agents=[lost])
        replies = sitting.ask("writer", "researcher", "critic")
        assert statuses(replies)[1] == (1, "researcher", "skipped", "unknown_model_alias")
        assert [ask.step for ask in sitting.journal.asks] == [0, 2]

    def test_the_output_cap_is_the_lower_of_the_agents_and_the_aliass(self) -> None:
        sitting = Sitting(agents=[replace(ROSTER["critic"], max_output_tokens=1_000_000)])
        sitting.ask("writer", "critic")
        assert [request.max_output_tokens for request in sitting.provider.requests] == [
            256,
            CATALOG["fast"].max_output_tokens,
        ]


class TestBudget:
    @pytest.mark.parametrize(
        ("dialect", "effort"),
        [(Dialect(thinking=True), "low"), (Dialect(thinking="adaptive"), "low"), (Dialect(), None)],
    )
    def test_helpers_ask_a_thinking_alias_for_low_effort_and_agents_set_none(
        self, dialect: Dialect, effort: str | None
    ) -> None:
        sitting = Sitting(catalog={**CATALOG, "fast": replace(CATALOG["fast"], dialect=dialect)})
        sitting.ask("writer")
        sitting.council.ask_helper("summary_text", "fast", 256, lambda _: (Message("user", "?"),))
        assert [request.effort for request in sitting.provider.requests] == [None, effort]

    def test_spent_budget_skips_the_rest_of_the_plan_and_keeps_the_replies(self) -> None:
        sitting = Sitting(journal=MemoryJournal(holds=1))
        replies = sitting.ask("writer", "researcher", "critic")
        assert statuses(replies) == [
            (0, "writer", "completed", None),
            (1, "researcher", "skipped", "budget_exceeded"),
            (2, "critic", "skipped", "budget_exceeded"),
        ]
        assert replies[2].cost_usd == ZERO
        # The third was not even tried: what a smaller call might still get is left alone.
        assert sitting.journal.log.count("open") == 2
        assert len(sitting.provider.requests) == 1


class TestResume:
    def test_earlier_answer_is_read_from_the_journal(self) -> None:
        def known(text: str | None) -> list[Attempt]:
            completion = Completion("succeeded", text, "end_turn", Usage(1, 1)) if text else REFUSED
            verdict = "reply" if text else "failed"
            return [Attempt(uuid4(), "fast", completion, completion.error, verdict)]  # type: ignore[arg-type]

        journal = MemoryJournal({0: known("First."), 1: known(None)})
        sitting = Sitting(journal=journal, stored_plan=Plan(("writer", "researcher", "critic"), "roster"))
        replies = sitting.ask("writer", "researcher", "critic")
        assert [reply.text for reply in replies][:2] == ["First.", None]
        assert statuses(replies)[1] == (1, "researcher", "failed", "refused")
        assert [ask.step for ask in journal.asks] == [2]
        assert sitting.heard(0).endswith(quoted("Writer", "First."))

    @pytest.mark.parametrize("parallel", [False, True])
    def test_earlier_answer_is_kept_when_this_release_lacks_its_alias(self, *, parallel: bool) -> None:
        answered = Attempt(uuid4(), "gone", Completion("succeeded", "Paid for."), None, "reply", cost_usd=ZERO)
        gone = [replace(ROSTER[key], model_alias="gone") for key in ("writer", "researcher")]
        plan = Plan(("writer", "researcher", "critic"), "roster")
        sitting = Sitting(journal=MemoryJournal({0: [answered]}), stored_plan=plan, agents=gone)
        council = sitting.council
        council.conversation = replace(council.conversation, parallel=parallel)
        assert statuses(council.ask_all(plan.selected_agent_keys)) == [
            (0, "writer", "completed", None),
            (1, "researcher", "skipped", "unknown_model_alias"),
            (2, "critic", "completed", None),
        ]
        assert council.replies[0].text == "Paid for."
        assert [ask.step for ask in sitting.journal.asks] == [2]

    def test_replies_are_kept_when_time_runs_out(self) -> None:
        sitting = Sitting(seconds_left=0.0)
        with pytest.raises(OutOfTime) as ended:
            sitting.ask("writer")
        assert sitting.council.interruption is ended.value
        assert sitting.council.replies == []
        assert sitting.journal.log == []


class TestChair:
    def test_a_chair_of_another_catalog_is_skipped_and_leaves_an_answer(self) -> None:
        """The turn was accepted when its alias was known."""
        agents = tuple(replace(agent, model_alias="gone") for agent in ROSTER.values() if agent.key == "writer")
        sitting = Sitting(agents=agents)
        sitting.provider.enqueue("One.", "Two.")
        MODES["council"](sitting.council)
        assert statuses(sitting.council.replies) == [
            (0, "writer", "skipped", "unknown_model_alias"),
            (1, "researcher", "completed", None),
            (2, "critic", "completed", None),
            (3, "writer", "skipped", "unknown_model_alias"),
        ]
        assert sitting.council.conclusion == 1
        assert sitting.council.fallbacks == [Fallback("chair", "unknown_model_alias", 3)]
