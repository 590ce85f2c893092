"""What a model writes where JSON was asked for: the manager's answer and a summary's structure.

An input is the text of an answer.
"""

from pydantic import BaseModel, ValidationError

from shared.domain.agent import Agent
from shared.domain.conversation import Conversation, Said
from shared.domain.summary import LISTS, Structure, Summary
from shared.domain.turn import Fallback
from shared.llm.port import Completion, storable
from shared.llm.structured import parse
from shared.orchestration.routing import Decision, read_decision
from shared.summary.pipeline import MAX_ITEM_CHARACTERS, Extracted, summarise
from shared.summary.policy import SummaryPolicy

WORDS = (
    *('"selected_agent_keys"', '"writer"', '"critic"', '"reason"', '"key_facts"', '"decisions"', '"open_questions"'),
    *('"action_items"', '"outdated"', "```json\n", "\n```", "{", "}", "[", "]", "\\u0000", "\\ud83d", "null", "1e400"),
)
_REASONS = {"invalid_json", "invalid_schema"}
_MOST = 2
_AGENTS = {
    key: Agent(key, 1, key.title(), "Answer.", "fast", 100, None, enabled=True)
    for key in ("writer", "critic", "editor")
}
_KNOWN = Structure(("It starts in May.",), ("We go by train.",), ("Who pays?",), ("Mia books the tickets.",))
_CONVERSATION = Conversation(_AGENTS, (), "@critic Who pays?", summary=Summary(1, "They plan a trip.", _KNOWN))
_POLICY = SummaryPolicy(after_turns=1)


def attempt(data: bytes) -> None:
    completion = Completion("succeeded", storable(data.decode("utf-8", "replace")), "end_turn")
    for model in (Decision, Extracted):
        _parse(model, completion)
    _route(completion)
    _summarise(completion)


def _parse(model: type[BaseModel], completion: Completion) -> None:
    """A value or a fallback; and a value wherever the whole text is one that can be stored."""
    read = parse(model, completion, "component", 3)
    if isinstance(read, Fallback):
        assert (read.component, read.step) == ("component", 3)
        assert read.reason in _REASONS
    else:
        assert isinstance(read, model)
        _assert_storable(read.model_dump_json())
    try:
        plain = model.model_validate_json(completion.text)
    except ValidationError:
        return
    # What Python reads no number of is refused, though no field has it.
    if "\\u0000" not in completion.text and not isinstance(read, Fallback):
        assert read == plain


def _route(completion: Completion) -> None:
    routed = read_decision(completion, _CONVERSATION, _MOST, 0)
    keys = routed.plan.selected_agent_keys
    assert keys
    assert len(keys) <= _MOST
    assert len(set(keys)) == len(keys)
    assert set(keys) <= _AGENTS.keys()
    assert (routed.plan.source == "fallback") == (routed.fallback is not None)
    if routed.fallback is not None:
        assert keys == ("critic",)
        assert routed.fallback.reason in {*_REASONS, "no_known_agent"}


def _summarise(completion: Completion) -> None:
    """With both stages answered so."""

    def ask(*_: object, **__: object) -> tuple[int, Completion]:
        return 1, completion

    summarised = summarise(_CONVERSATION, 2, [Said("critic", "Critic", "The firm pays.")], _POLICY, ask)
    assert summarised is not None
    summary, limits = summarised.summary, _POLICY.limits
    assert len(summary.text) <= limits.characters
    items = [item for name in LISTS for item in getattr(summary.structure, name)]
    assert sum(map(len, items)) <= limits.characters
    assert all(len(getattr(summary.structure, name)) <= limits.items for name in LISTS)
    for item in items:
        assert item.strip()
        assert len(item) <= MAX_ITEM_CHARACTERS
        assert len(item.splitlines()) == 1
    for text in (summary.text, *items):
        _assert_storable(text)


def _assert_storable(text: str) -> None:
    assert storable(text) == text
