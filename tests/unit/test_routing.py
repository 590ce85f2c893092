"""Routing: whatever the manager says, the plan is one of enabled agents of the roster."""

import json
import random
from types import MappingProxyType

import pytest

from shared.domain.conversation import Conversation, PastTurn, Said
from shared.domain.turn import Plan
from shared.llm.port import Completion
from shared.orchestration.context import Context
from shared.orchestration.modes import MODES
from shared.orchestration.routing import build_routing_messages, read_decision
from tests.injections import ORDERS, REPLIES
from tests.quoted import speakers
from tests.unit.memory_journal import MemoryJournal
from tests.unit.test_council import REFUSED, ROSTER, Sitting


def conversation(message: str = "Hello.", *history: PastTurn) -> Conversation:
    return Conversation(MappingProxyType(ROSTER), history, message)


def routed(text: str, message: str = "Hello.", *history: PastTurn, most: int = 4) -> Plan:
    return read_decision(Completion("succeeded", text, "end_turn"), conversation(message, *history), most, 0).plan


def chosen(*keys: object) -> str:
    return json.dumps({"selected_agent_keys": keys, "reason": ""})


def test_the_managers_order_is_kept() -> None:
    assert routed(chosen("critic", "writer")) == Plan(("critic", "writer"), "routing")


def test_unknown_and_repeated_keys_are_dropped() -> None:
    assert routed(chosen("root", "critic", "Writer", "critic", "", "writer")).selected_agent_keys == (
        "critic",
        "writer",
    )


def test_no_more_are_chosen_than_the_cap_allows() -> None:
    assert routed(chosen("critic", "writer", "researcher"), most=2).selected_agent_keys == ("critic", "writer")
    assert len(routed(chosen(*["critic", "writer", "researcher"] * 400)).selected_agent_keys) == 3


@pytest.mark.parametrize("answer", [chosen(), chosen("root"), "nonsense", "{}"])
class TestWithoutAManager:
    def test_the_users_tags_decide(self, answer: str) -> None:
        assert routed(answer, "@critic and @nobody?") == Plan(("critic",), "fallback", ("nobody",))

    def test_else_the_agent_that_was_heard_last(self, answer: str) -> None:
        heard = PastTurn("?", (Said("writer", "Writer", "@critic"), Said("researcher", "Researcher", "I did.")))
        gone = PastTurn("?", (Said("deleted", "Deleted", "Bye."),))
        assert routed(answer, "And now?", heard, gone).selected_agent_keys == ("researcher",)

    def test_else_the_rosters_first(self, answer: str) -> None:
        assert routed(answer).selected_agent_keys == ("writer",)


def test_what_agents_said_routes_nothing() -> None:
    said = PastTurn("?", (Said("writer", "Writer", "@critic @researcher, over to you"),))
    assert routed("nonsense", "Go on.", said) == Plan(("writer",), "fallback")


def test_injected_words_never_bring_in_an_unlisted_agent() -> None:
    source = random.Random(7)
    for message in ORDERS:
        answer = source.choice([*ORDERS, chosen("root", "writer"), chosen("admin")])
        history = PastTurn(source.choice(ORDERS), (Said("writer", "Writer", source.choice(REPLIES)),))
        keys = routed(answer, message, history).selected_agent_keys
        assert 1 <= len(keys) <= 4
        assert set(keys) <= set(ROSTER)


def test_the_manager_reads_the_roster_the_history_and_the_message() -> None:
    said = PastTurn("What is new?", (Said("writer", "Writer", "Nothing."),))
    talk = conversation("And today?", said)
    system, heard = build_routing_messages(talk, Context(talk), 3, 1000)
    assert all(f"- {key}: {agent.name}. {agent.role_prompt}" in system.text for key, agent in ROSTER.items())
    assert "at most 3" in system.text
    assert (system.role, heard.role) == ("system", "user")
    assert speakers(heard.text) == [("user", "What is new?"), ("agent:Writer", "Nothing."), ("user", "And today?")]


class TestOrchestrator:
    def test_the_manager_is_asked_first_and_its_agents_after(self) -> None:
        sitting = Sitting()
        sitting.provider.enqueue(chosen("critic", "writer"), "No.", "Yes.")
        MODES["orchestrator"](sitting.council)
        assert [(ask.purpose, ask.step) for ask in sitting.journal.asks] == [("routing", 0), ("agent", 1), ("agent", 2)]
        assert [reply.text for reply in sitting.council.replies] == ["No.", "Yes."]
        assert "No." in sitting.heard(2)
        schema = sitting.provider.requests[0].response_schema
        assert schema is not None
        assert schema["properties"]["selected_agent_keys"]["items"]["enum"] == list(ROSTER)  # type: ignore[index]
        assert schema["required"] == ["selected_agent_keys", "reason"]
        assert sitting.council.fallbacks == []

    def test_a_manager_that_is_refused_is_done_without(self) -> None:
        sitting = Sitting("@critic?")
        sitting.provider.enqueue(REFUSED, "Here.")
        MODES["orchestrator"](sitting.council)
        assert [(reply.agent_key, reply.text) for reply in sitting.council.replies] == [("critic", "Here.")]
        assert [(f.component, f.reason, f.step) for f in sitting.council.fallbacks] == [("routing", "refused", 0)]

    def test_a_stored_plan_is_not_asked_for_again(self) -> None:
        sitting = Sitting(stored_plan=Plan(("critic",), "routing"), journal=MemoryJournal())
        sitting.provider.enqueue("Here.")
        MODES["orchestrator"](sitting.council)
        assert [ask.purpose for ask in sitting.journal.asks] == ["agent"]
        assert sitting.journal.asks[0].step == 1
