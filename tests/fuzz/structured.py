"""Fuzzes the reading of a model's JSON: the manager's answer and a summary's structure.

An input is the text of an answer.
"""

from pydantic import BaseModel, ValidationError

from shared.domain.agent import Agent
from shared.domain.conversation import Conversation, Said
from shared.domain.summary import LISTS, Item, Summary, by_list
from shared.llm.port import Completion, storable
from shared.llm.structured import parse
from shared.orchestration.routing import Decision, read_decision
from shared.summary.answer import MAX_ITEM_CHARACTERS, Changes
from shared.summary.policy import SummaryPolicy
from shared.summary.summarise import summarise

WORDS = (
    *('"selected_agent_keys"', '"writer"', '"critic"', '"reason"', '"key_facts"', '"decisions"', '"open_questions"'),
    *('"action_items"', '"add"', '"replace"', '"close"', '"id"', '"text"', '"of"', '"F1"', '"Q1"', '"duplicate"'),
    *("```json\n", "\n```", "{", "}", "[", "]", "\\u0000", "\\ud83d", "null", "1e400", ",", "@", "<think>", "</think>"),
)
_REASONS = {"invalid_json", "invalid_schema"}
_FIELDS = {f"invalid_field:{name}" for name in (*LISTS, *Changes.model_fields, "selected_agent_keys")}
_MOST = 2
_AGENTS = {
    key: Agent(key, 1, key.title(), "Answer.", "fast", 100, None, enabled=True)
    for key in ("writer", "critic", "editor")
}
_KNOWN = (
    Item("F1", "key_facts", "It starts in May.", 1),
    Item("D1", "decisions", "We go by train.", 1),
    Item("Q1", "open_questions", "Who pays?", 1),
    Item("A1", "action_items", "Mia books the tickets.", 1),
)
_SUMMARY = Summary(1, "They plan a trip.", _KNOWN, dict.fromkeys(LISTS, 1))
_CONVERSATION = Conversation(_AGENTS, (), "@critic Who pays?", summary=_SUMMARY)
_POLICY = SummaryPolicy(after_turns=1)


def attempt(data: bytes) -> None:
    completion = Completion("succeeded", storable(data.decode("utf-8", "replace")), "end_turn")
    for model in (Decision, Changes):
        _parse(model, completion)
    _route(completion)
    _summarise(completion)


def _parse(model: type[BaseModel], completion: Completion) -> None:
    """Check for a value or a fallback. The value equals the whole text when that can be stored."""
    value, fallbacks = parse(model, completion, "component", 3)
    assert all((each.component, each.step) == ("component", 3) for each in fallbacks)
    if value is None:
        assert [each.reason in _REASONS for each in fallbacks] == [True]
    else:
        assert {each.reason for each in fallbacks} <= _FIELDS
        _assert_storable(value.model_dump_json())
    try:
        plain = model.model_validate_json(completion.text)
    except ValidationError:
        return
    # A number that Python cannot read is refused, even in an unknown field.
    if "\\u0000" not in completion.text and value is not None:
        assert (value, fallbacks) == (plain, ())


def _route(completion: Completion) -> None:
    routed = read_decision(completion, _CONVERSATION, _MOST, 0)
    keys = routed.plan.selected_agent_keys
    assert keys
    assert len(keys) <= _MOST
    assert len(set(keys)) == len(keys)
    assert set(keys) <= _AGENTS.keys()
    if routed.plan.source == "fallback":
        assert keys == ("critic",)
        assert routed.fallback is not None
        assert routed.fallback.reason in {*_REASONS, "no_known_agent"}
    else:
        assert routed.fallback is None or routed.fallback.reason in _FIELDS


def _summarise(completion: Completion) -> None:
    """With both stages answered so."""

    def ask(*_: object, **__: object) -> tuple[int, Completion]:
        return 1, completion

    summarised = summarise(_CONVERSATION, 2, [Said("critic", "Critic", "The firm pays.")], _POLICY, ask)
    assert summarised is not None
    summary, limits = summarised.summary, _POLICY.limits
    assert len(summary.text) <= limits.characters
    texts = [item.text for item in summary.items]
    assert sum(map(len, texts)) <= limits.characters
    assert all(len(texts) <= limits.items for texts in by_list(summary.items).values())
    assert {item.id for item in _KNOWN} <= {item.id for item in summary.items + summary.archive}
    assert len({item.id for item in summary.items + summary.archive}) == len(summary.items + summary.archive)
    for item in texts:
        assert item.strip()
        assert len(item) <= MAX_ITEM_CHARACTERS
        assert len(item.splitlines()) == 1
    for text in (summary.text, *texts):
        _assert_storable(text)


def _assert_storable(text: str) -> None:
    assert storable(text) == text
