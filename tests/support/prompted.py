"""Runs a long session, and keeps each prompt that its turns send."""

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from uuid import UUID

from shared.domain.conversation import Conversation, PastTurn, Said
from shared.domain.summary import Item, Summary
from shared.domain.turn import Purpose
from shared.llm.port import Message
from shared.llm.scripted import ScriptedProvider
from shared.orchestration.attempts import Asker
from shared.orchestration.council import Council
from shared.orchestration.modes import MODES
from shared.summary.policy import SummaryPolicy
from shared.summary.summarise import summarise
from tests.support.memory_journal import MemoryJournal
from tests.unit.test_council import CATALOG, ROSTER

POLICY = SummaryPolicy(after_turns=1)
Prompt = tuple[Message, ...]


def conversation(mode: str = "roundtable", *, parallel: bool = False) -> Conversation:
    """A long session: a summary with items, and turns since."""
    items = (
        Item("F1", "key_facts", "The launch is in May.", 3),
        Item("F2", "key_facts", "Anna leads it.", 4),
        Item("Q1", "open_questions", "Who pays?", 4),
    )
    history = (
        PastTurn("What is new?", (Said("writer", "Writer", "Nothing."), Said("critic", "Critic", "Too little.")), 5),
        PastTurn("Is that all?", (Said("critic", "Critic", "It is."),), 6),
    )
    named = ("writer", "researcher", "critic") if mode == "manual" else None
    message = "@writer @researcher @critic And now?" if mode == "tag" else "And now?"
    return Conversation(MappingProxyType(ROSTER), history, message, named, parallel, Summary(4, "They plan.", items))


def captured(mode: str, talk: Conversation, reply: str = "Fine.", reason: str = "") -> list[Prompt]:
    """Every prompt of a turn that begins with this reply, and those of the summary at its end."""
    provider = ScriptedProvider()
    if mode == "orchestrator":
        provider.enqueue(json.dumps({"selected_agent_keys": ["writer", "critic"], "reason": reason}))
    provider.enqueue(reply, "Second.", "Third.")
    if mode == "council":
        # Threads take these in any order.
        provider.enqueue(lambda request: reply if "You are the writer." in request.messages[0].text else "Second.")
        provider._script = deque(provider._script[-1] for _ in range(3))
        provider.enqueue(*["Reviewed."] * 3, "Fourth.")
    asker = Asker(UUID(int=7), CATALOG, provider, MemoryJournal(), lambda: 900.0, session_id=UUID(int=8))
    table = Council(talk, asker)
    MODES[mode](table)
    # Reviews show answers without names, and are tried by themselves.
    asked = [request for request in provider.requests if "You judge answers" not in request.messages[0].text]
    if mode == "council":
        asked[:3] = sorted(asked[:3], key=lambda request: request.cache_key or "")
    seen = [request.messages for request in asked]

    def ask(
        purpose: Purpose, build: Callable[[int], Prompt], schema: Mapping[str, object] | None = None
    ) -> tuple[int, str]:
        seen.append(build(100_000))
        return 0, "throttled"

    assert summarise(talk, 7, table.heard(), POLICY, ask)
    return seen


def shown(prompts: Sequence[Prompt]) -> list[list[tuple[str, str]]]:
    return [[(message.role, message.text) for message in prompt] for prompt in prompts]
