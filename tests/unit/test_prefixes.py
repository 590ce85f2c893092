"""Tests that each prompt of a session of 30 turns repeats the one before it, so that a provider caches it."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from types import MappingProxyType
from uuid import UUID

import pytest

from shared.domain.conversation import Conversation, PastTurn
from shared.domain.turn import CALL, Purpose
from shared.llm.port import Request
from shared.llm.scripted import ScriptedProvider
from shared.orchestration.attempts import Asker
from shared.orchestration.council import Council
from shared.orchestration.modes import FANNED_OUT, MODES
from shared.summary.policy import SummaryPolicy
from shared.summary.summarise import summarise
from tests.support.memory_journal import MemoryJournal
from tests.support.prompted import Prompt
from tests.unit.test_council import CATALOG, ROSTER

TURNS = 30
KEYS = ("writer", "researcher", "critic")
SESSION = UUID(int=5)
# The agents that each mode's turns are for, in turn.
ASKED: Mapping[str, Sequence[Sequence[str]]] = {
    "manual": [KEYS],
    "tag": [KEYS[:1], KEYS[:2], KEYS],
    "roundtable": [KEYS],
    "orchestrator": [KEYS[:2], KEYS[1:]],
    "council": [KEYS],
}


class Session:
    """Turns taken one after the other. `prompts` are those of each speaker, `summaries` the turns with a new one."""

    def __init__(self, mode: str, policy: SummaryPolicy, window: int = 100_000, *, parallel: bool = False) -> None:
        self.prompts: dict[str, list[Request]] = defaultdict(list)
        self.summaries: list[int] = []
        self._mode = mode
        self._policy = policy
        self._catalog = {alias: replace(model, context_window=window) for alias, model in CATALOG.items()}
        self._talk = Conversation(MappingProxyType(ROSTER), (), "", parallel=parallel)

    def take(self, turn_index: int) -> None:
        asked = ASKED[self._mode][turn_index % len(ASKED[self._mode])]
        tags = " ".join(f"@{key}" for key in asked) if self._mode == "tag" else ""
        talk = replace(self._talk, message=f"{tags} Question {turn_index}? " + "Why? " * (turn_index % 7))
        talk = replace(talk, requested_agent_keys=tuple(asked) if self._mode == "manual" else None)
        provider = ScriptedProvider()
        if self._mode == "orchestrator":
            provider.enqueue(json.dumps({"selected_agent_keys": asked, "reason": ""}))
        provider.enqueue(*(f"{key} answers {turn_index}. " + "Because. " * 20 for key in asked))
        if self._mode == "council":
            # Which of the members is asked first is chance, so their answers are alike.
            provider.enqueue(*[f"answer {turn_index}"] * 4)
        asker = Asker(UUID(int=turn_index), self._catalog, provider, MemoryJournal(), lambda: 900.0, session_id=SESSION)
        council = Council(talk, asker)
        MODES[self._mode](council)
        for request in provider.requests:
            speaker = request.messages[0].text.partition(",")[0]
            self.prompts[speaker].append(request)

        def ask(purpose: Purpose, build: object, schema: object = None) -> tuple[int, str]:
            return 0, "throttled"

        made = summarise(talk, turn_index, council.heard(), self._policy, ask)
        if made:
            self.summaries.append(turn_index)
        together = self._talk.parallel and self._mode in FANNED_OUT
        past = PastTurn(talk.message, council.heard(), turn_index, together)
        summary = made.summary if made else talk.summary
        self._talk = replace(talk, history=(*talk.history, past)[-50:], summary=summary)


def session(mode: str, policy: SummaryPolicy, window: int = 100_000, *, parallel: bool = False) -> Session:
    made = Session(mode, policy, window, parallel=parallel)
    for turn_index in range(1, TURNS + 1):
        made.take(turn_index)
    return made


def repeats(later: Prompt, earlier: Prompt) -> bool:
    return later[: len(earlier)] == earlier


def breaks(prompts: Sequence[Request]) -> int:
    """Return the number of prompts that do not begin with the whole prompt before them."""
    return sum(not repeats(later.messages, earlier.messages) for earlier, later in pairwise(prompts))


NEVER = SummaryPolicy(after_turns=99, after_tokens=10**9)
OFTEN = SummaryPolicy(after_turns=12, after_tokens=10**9)
# A plain call has the prompt that its client sends.
AGENTS = [(mode, parallel) for mode in MODES if mode != CALL for parallel in (False, True)]


@pytest.mark.parametrize(("mode", "parallel"), AGENTS)
def test_prompt_of_an_agent_begins_with_its_last_one_without_a_new_summary(mode: str, parallel: bool) -> None:
    taken = session(mode, NEVER, parallel=parallel)
    agents = {speaker: prompts for speaker, prompts in taken.prompts.items() if prompts[0].continues}
    # In a council, the conclusion takes the place of the members' answers.
    assert len(agents) == (0 if mode == "council" else len({key for asked in ASKED[mode] for key in asked}))
    for prompts in agents.values():
        assert len(prompts) >= TURNS // 3
        assert breaks(prompts) == 0


@pytest.mark.parametrize(("mode", "parallel"), AGENTS)
def test_new_summary_changes_the_prefix_of_each_agent_once(mode: str, parallel: bool) -> None:
    taken = session(mode, OFTEN, parallel=parallel)
    assert taken.summaries == [12, 24]
    for prompts in taken.prompts.values():
        if prompts[0].continues:
            assert breaks(prompts) == len(taken.summaries)
            assert len({prompt.messages[0] for prompt in prompts}) == 1


def test_prompt_of_the_manager_begins_with_the_bytes_of_its_last_one() -> None:
    taken = session("orchestrator", NEVER)
    (manager,) = (prompts for prompts in taken.prompts.values() if not prompts[0].continues)
    texts = ["".join(message.text for message in prompt.messages) for prompt in manager]
    assert len(texts) == TURNS
    # The first message has no mark while it is alone.
    assert all(later.startswith(earlier) for earlier, later in pairwise(texts[1:]))


@pytest.mark.parametrize("mode", ["manual", "roundtable"])
def test_full_window_changes_a_prefix_once_in_several_turns(mode: str) -> None:
    taken = session(mode, NEVER, window=3400)
    for prompts in taken.prompts.values():
        kept = [len(prompt.messages) for prompt in prompts]
        assert max(kept) > kept[-1]
        assert 1 <= breaks(prompts) <= TURNS // 5


def test_cache_key_is_the_same_in_every_turn_and_differs_by_speaker() -> None:
    keys = [{prompt.cache_key for prompt in prompts} for prompts in session("orchestrator", OFTEN).prompts.values()]
    assert [len(each) for each in keys] == [1] * 4
    assert len(set.union(*keys)) == 4
    for key in set.union(*keys):
        assert key is not None
        assert len(key) <= 64
        assert not [name for name in (*KEYS, str(SESSION), SESSION.hex) if name in key]


def test_a_cache_key_is_the_same_in_every_process() -> None:
    assert session("manual", OFTEN).prompts["You are Writer"][0].cache_key == "440dbe467cf0f77337376aa39bd32279"
