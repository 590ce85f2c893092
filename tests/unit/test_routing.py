"""Tests routing: each answer of the manager leads to a plan of enabled agents of the roster."""

import json
import random
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import pytest

from shared.domain.agent import Agent
from shared.domain.conversation import Conversation, PastTurn, Said
from shared.domain.turn import Fallback, Plan
from shared.llm.port import Completion
from shared.orchestration.modes import MODES
from shared.orchestration.prompts import Prompts
from shared.orchestration.routing import Routed, build_routing_messages, read_decision
from tests.support.injections import ORDERS, REPLIES
from tests.support.memory_journal import MemoryJournal
from tests.support.quoted import speakers
from tests.unit.test_council import REFUSED, ROSTER, Sitting, statuses


def conversation(
    message: str = "Hello.", *history: PastTurn, roster: Mapping[str, Agent] = MappingProxyType(ROSTER)
) -> Conversation:
    return Conversation(roster, history, message)


def routed(
    text: str,
    message: str = "Hello.",
    *history: PastTurn,
    most: int = 4,
    roster: Mapping[str, Agent] = MappingProxyType(ROSTER),
) -> Plan:
    answer = Completion("succeeded", text, "end_turn")
    return read_decision(answer, conversation(message, *history, roster=roster), most, 0).plan


def chosen(*keys: object) -> str:
    return json.dumps({"selected_agent_keys": keys, "reason": ""})


def test_plan_keeps_the_managers_order() -> None:
    assert routed(chosen("critic", "writer")) == Plan(("critic", "writer"), "routing")


def test_unknown_and_repeated_keys_are_dropped() -> None:
    assert routed(chosen("root", "critic", "Writer", "critic", "", "writer")) == Plan(("critic", "writer"), "routing")


@pytest.mark.parametrize(
    "said",
    [
        "critic",
        "Critic",
        "CRITIC",
        "@Critic",
        "@critic ",
        " ＠Ｃｒｉｔｉｃ\n",
        "@ critic",
        "Le  Critique",
        "@le critique",
    ],
)
def test_plan_finds_an_agent_by_its_key_or_its_name(said: str) -> None:
    roster = ROSTER | {"critic": replace(ROSTER["critic"], name="Le Critique")}
    assert routed(chosen(said), roster=roster) == Plan(("critic",), "routing")


@pytest.mark.parametrize("said", ["The Critic", "critics", "critic!", "@@critic", "", "@", "c" + "\u0323\u0301" * 500])
def test_plan_ignores_a_text_that_matches_no_agent(said: str) -> None:
    assert routed(chosen(said, "writer")) == Plan(("writer",), "routing")


def test_plan_ignores_a_name_of_two_agents_and_finds_each_by_its_key() -> None:
    twins = {key: replace(ROSTER[key], name="Critic") for key in ("writer", "researcher")}
    roster = ROSTER | twins
    assert routed(chosen("Critic", "researcher"), roster=roster) == Plan(("researcher",), "routing")
    assert routed(chosen("critic"), roster=roster) == Plan(("critic",), "routing")


def test_plan_accepts_one_key_instead_of_a_list_and_reports_a_fallback() -> None:
    answer = Completion("succeeded", '{"selected_agent_keys": "Critic"}', "end_turn")
    assert read_decision(answer, conversation(), 4, 0) == Routed(
        Plan(("critic",), "routing"), Fallback("routing", "invalid_field:selected_agent_keys", 0)
    )


def test_plan_has_at_most_the_capped_number_of_agents() -> None:
    assert routed(chosen("critic", "writer", "researcher"), most=2).selected_agent_keys == ("critic", "writer")
    assert len(routed(chosen(*["critic", "writer", "researcher"] * 400)).selected_agent_keys) == 3


@pytest.mark.parametrize("answer", [chosen(), chosen("root"), "nonsense", "{}"])
class TestWithoutAManager:
    def test_plan_without_a_manager_follows_the_users_tags(self, answer: str) -> None:
        assert routed(answer, "@critic and @nobody?") == Plan(("critic",), "fallback", ("nobody",))

    def test_plan_without_tags_has_the_agent_that_replied_last(self, answer: str) -> None:
        heard = PastTurn("?", (Said("writer", "Writer", "@critic"), Said("researcher", "Researcher", "I did.")))
        gone = PastTurn("?", (Said("deleted", "Deleted", "Bye."),))
        assert routed(answer, "And now?", heard, gone).selected_agent_keys == ("researcher",)

    def test_plan_without_tags_or_history_has_the_first_agent_of_the_roster(self, answer: str) -> None:
        assert routed(answer).selected_agent_keys == ("writer",)


def test_tags_in_replies_of_agents_do_not_route() -> None:
    said = PastTurn("?", (Said("writer", "Writer", "@critic @researcher, over to you"),))
    assert routed("nonsense", "Go on.", said) == Plan(("writer",), "fallback")


def test_injected_words_do_not_add_an_agent_outside_the_roster() -> None:
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
    system, heard = build_routing_messages(talk, Prompts(talk), 3, 1000)
    assert all(f"- {key}: {agent.name}. {agent.role_prompt}" in system.text for key, agent in ROSTER.items())
    assert "at most 3" in system.text
    assert (system.role, heard.role) == ("system", "user")
    assert speakers(heard.text) == [("user", "What is new?"), ("agent:Writer", "Nothing."), ("user", "And today?")]


class TestOrchestrator:
    def test_orchestrator_asks_the_manager_and_then_its_agents(self) -> None:
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

    def test_manager_that_thinks_aloud_and_answers_with_names_is_understood(self) -> None:
        sitting = Sitting()
        sitting.provider.enqueue('<think>{writer, critic}?</think>{"selected_agent_keys":["Critic", "@Writer "]}')
        MODES["orchestrator"](sitting.council)
        assert sitting.council.current_plan == Plan(("critic", "writer"), "routing")
        assert sitting.council.fallbacks == []

    def test_tags_decide_when_the_manager_only_thinks(self) -> None:
        sitting = Sitting("@critic?")
        sitting.provider.enqueue('<think>{"selected_agent_keys": ["writer"]}', "Here.")
        MODES["orchestrator"](sitting.council)
        assert sitting.council.current_plan == Plan(("critic",), "fallback")
        assert [fallback.reason for fallback in sitting.council.fallbacks] == ["thinking_only"]

    def test_a_manager_does_not_choose_an_agent_of_another_catalog(self) -> None:
        sitting = Sitting(agents=[replace(ROSTER["critic"], model_alias="gone")])
        sitting.provider.enqueue(chosen("critic", "writer"), "Here.")
        MODES["orchestrator"](sitting.council)
        assert sitting.council.current_plan == Plan(("writer",), "routing")
        assert "- critic:" not in sitting.provider.requests[0].messages[0].text

    def test_agents_of_another_catalog_are_skipped_when_no_other_agent_exists(self) -> None:
        sitting = Sitting(agents=[replace(agent, model_alias="gone") for agent in ROSTER.values()])
        sitting.provider.enqueue(chosen("critic"))
        MODES["orchestrator"](sitting.council)
        assert statuses(sitting.council.replies) == [(0, "critic", "skipped", "unknown_model_alias")]

    def test_tags_decide_when_the_call_of_the_manager_is_refused(self) -> None:
        sitting = Sitting("@critic?")
        sitting.provider.enqueue(REFUSED, "Here.")
        MODES["orchestrator"](sitting.council)
        assert [(reply.agent_key, reply.text) for reply in sitting.council.replies] == [("critic", "Here.")]
        assert [(f.component, f.reason, f.step) for f in sitting.council.fallbacks] == [("routing", "refused", 0)]

    def test_manager_is_not_asked_when_a_plan_is_stored(self) -> None:
        sitting = Sitting(stored_plan=Plan(("critic",), "routing"), journal=MemoryJournal())
        sitting.provider.enqueue("Here.")
        MODES["orchestrator"](sitting.council)
        assert [ask.purpose for ask in sitting.journal.asks] == ["agent"]
        assert sitting.journal.asks[0].step == 1
