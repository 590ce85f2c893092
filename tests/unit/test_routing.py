"""Routing: whatever the manager says, the plan is one of enabled agents of the roster."""

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


def test_the_managers_order_is_kept() -> None:
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
def test_an_agent_is_meant_by_its_key_or_its_name(said: str) -> None:
    roster = ROSTER | {"critic": replace(ROSTER["critic"], name="Le Critique")}
    assert routed(chosen(said), roster=roster) == Plan(("critic",), "routing")


@pytest.mark.parametrize("said", ["The Critic", "critics", "critic!", "@@critic", "", "@", "c" + "\u0323\u0301" * 500])
def test_a_text_that_fits_nobody_means_nobody(said: str) -> None:
    assert routed(chosen(said, "writer")) == Plan(("writer",), "routing")


def test_a_name_of_two_agents_means_none_of_them_and_a_key_its_own() -> None:
    twins = {key: replace(ROSTER[key], name="Critic") for key in ("writer", "researcher")}
    roster = ROSTER | twins
    assert routed(chosen("Critic", "researcher"), roster=roster) == Plan(("researcher",), "routing")
    assert routed(chosen("critic"), roster=roster) == Plan(("critic",), "routing")


def test_one_key_instead_of_a_list_is_asked_and_reported() -> None:
    answer = Completion("succeeded", '{"selected_agent_keys": "Critic"}', "end_turn")
    assert read_decision(answer, conversation(), 4, 0) == Routed(
        Plan(("critic",), "routing"), Fallback("routing", "invalid_field:selected_agent_keys", 0)
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
    system, heard = build_routing_messages(talk, Prompts(talk), 3, 1000)
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

    def test_a_manager_that_thinks_aloud_and_says_names_is_understood(self) -> None:
        sitting = Sitting()
        sitting.provider.enqueue('<think>{writer, critic}?</think>{"selected_agent_keys":["Critic", "@Writer "]}')
        MODES["orchestrator"](sitting.council)
        assert sitting.council.current_plan == Plan(("critic", "writer"), "routing")
        assert sitting.council.fallbacks == []

    def test_a_manager_that_only_thinks_is_done_without(self) -> None:
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

    def test_agents_of_another_catalog_are_skipped_if_there_are_no_others(self) -> None:
        sitting = Sitting(agents=[replace(agent, model_alias="gone") for agent in ROSTER.values()])
        sitting.provider.enqueue(chosen("critic"))
        MODES["orchestrator"](sitting.council)
        assert statuses(sitting.council.replies) == [(0, "critic", "skipped", "unknown_model_alias")]

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
