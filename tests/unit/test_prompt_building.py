"""Tests the prompt of a call, and which history it drops when the window is too small."""

import random
from dataclasses import replace
from itertools import pairwise

import pytest

from shared.catalog import build
from shared.domain.agent import Agent
from shared.domain.conversation import Conversation, PastTurn, Said
from shared.llm.port import Message
from shared.llm.tokens import (
    MESSAGE_OVERHEAD,
    REQUEST_OVERHEAD,
    WINDOW_KNOWN_S,
    TokenEstimates,
    estimate_tokens,
    most_input_tokens,
)
from shared.orchestration.history_window import Keep, keep_full, keep_in_steps
from shared.orchestration.prompts import Prompts
from shared.settings import Settings
from tests.support.quoted import quoted, speakers

MODEL = build(Settings.model_construct(llm_provider="scripted", max_call_s=None))["fast"]
CAP = 256
WRITER = Agent("writer", 1, "Writer", "Write it down.", "fast", CAP, None, enabled=True)


def past(number: int, *, length: int = 0) -> PastTurn:
    said = (Said("writer", "Writer", f"answer {number}"),)
    return PastTurn(f"question {number} " + "x" * length, said, turn_index=number + 1)


# The tokens of `past(10, length=300)`.
EXCHANGE = estimate_tokens((Message("user", "question 10 " + "x" * 300), Message("assistant", "answer 10")))


def conversation(*history: PastTurn, message: str = "And now?") -> Conversation:
    return Conversation({WRITER.key: WRITER}, history, message)


def build_for(
    window: int, talk: Conversation, agent: Agent = WRITER, *earlier: Said, keep: Keep = keep_in_steps
) -> tuple[Message, ...]:
    room = TokenEstimates().room(replace(MODEL, context_window=window), CAP)
    return Prompts(talk, keep).for_agent(agent, earlier, room)


def questions(messages: tuple[Message, ...]) -> list[str]:
    """The numbers of the past questions that are still there."""
    return [message.text.split()[1] for message in messages if message.text.startswith("question ")]


def test_prompt_has_role_history_and_message_with_alternating_speakers() -> None:
    two = PastTurn("Hello?", (Said("writer", "Writer", "Hi."), Said("critic", "Critic", "Really?")))
    own = PastTurn("Writer?", (Said("writer", "Author", "Yes."), Said("writer", "Writer", "I am.")))
    messages = build_for(8192, conversation(two, PastTurn("Nobody there?", ()), own))
    assert [message.role for message in messages] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert "You are Writer" in messages[0].text
    assert "Write it down." in messages[0].text
    assert [messages[n].text for n in (1, 2, 4, 5)] == ["Hello?", "Hi.", "Yes.\n\nI am.", "And now?"]
    assert speakers(messages[3].text) == [
        ("agent:Critic", "Really?"),
        ("user", "Nobody there?"),
        ("user", "Writer?"),
    ]


def test_reply_between_two_of_the_agents_own_is_quoted() -> None:
    said = (Said("writer", "Writer", "One."), Said("critic", "Critic", "Two."), Said("writer", "Writer", "Three."))
    assert [message.text for message in build_for(8192, conversation(PastTurn("Count.", said)))[1:]] == [
        "Count.",
        "One.",
        quoted("Critic", "Two."),
        "Three.",
        "And now?",
    ]


def test_own_reply_precedes_the_parallel_replies_that_the_agent_had_not_seen() -> None:
    said = (Said("critic", "Critic", "One."), Said("writer", "Writer", "Two."), Said("planner", "Planner", "Three."))
    messages = build_for(8192, conversation(PastTurn("Count.", said, together=True)))
    assert [message.text for message in messages[1:3]] == ["Count.", "Two."]
    heard = [("agent:Critic", "One."), ("agent:Planner", "Three."), ("user", "And now?")]
    assert speakers(messages[3].text) == heard


def test_replies_of_this_turn_follow_the_message_with_their_names() -> None:
    messages = build_for(
        8192, conversation(), WRITER, Said("critic", "Critic", "No."), Said("planner", "Planner", "Maybe.")
    )
    question = messages[-1]
    assert question.role == "user"
    assert speakers(question.text) == [("user", "And now?"), ("agent:Critic", "No."), ("agent:Planner", "Maybe.")]
    assert len(messages) == 2


def test_history_that_fits_is_complete_and_oldest_first() -> None:
    assert questions(build_for(8192, conversation(*map(past, range(20))))) == [str(number) for number in range(20)]


def test_long_history_keeps_its_newest_turns() -> None:
    talk = conversation(*(past(number, length=300) for number in range(50)))
    whole = build_for(100_000, talk)
    kept = questions(build_for(2000, talk))
    assert 0 < len(kept) < 50
    assert kept == [str(number) for number in range(50)][-len(kept) :]
    assert questions(whole) == [str(number) for number in range(50)]


def test_kept_history_fills_between_half_and_all_of_its_room() -> None:
    talk = conversation(*(past(number, length=300) for number in range(50)))
    for window in range(600, 4000, 37):
        alone = estimate_tokens(build_for(window, conversation())) + REQUEST_OVERHEAD + CAP
        used = estimate_tokens(build_for(window, talk)) + REQUEST_OVERHEAD + CAP
        assert used <= window
        assert window - used < max((window - alone) / 2 + 1, EXCHANGE)


def test_history_ends_at_a_turn_that_is_too_long() -> None:
    """A turn that is too long ends the history, even where an older one would fit."""
    talk = conversation(past(0), past(1, length=50_000), past(2), past(3))
    assert questions(build_for(8192, talk)) == ["2", "3"]


def test_oldest_turn_moves_in_steps_when_older_ones_were_not_loaded() -> None:
    oldest = []
    for first in range(1, 81):
        talk = conversation(*(past(number) for number in range(first, first + 50)))
        oldest.append(questions(build_for(100_000, talk))[0])
    assert sum(one != other for one, other in pairwise(oldest)) <= 6


@pytest.mark.parametrize("what", ["role prompt", "message", "earlier replies", "output cap"])
def test_required_parts_of_a_prompt_take_room_from_the_history(what: str) -> None:
    history = [past(number, length=300) for number in range(50)]
    text = "y" * 3000
    before = len(questions(build_for(4000, conversation(*history), keep=keep_full)))
    match what:
        case "role prompt":
            messages = build_for(4000, conversation(*history), replace(WRITER, role_prompt=text), keep=keep_full)
        case "message":
            messages = build_for(4000, conversation(*history, message=text), keep=keep_full)
        case "earlier replies":
            messages = build_for(4000, conversation(*history), WRITER, Said("critic", "Critic", text), keep=keep_full)
        case _:
            messages = build_for(3000, conversation(*history), keep=keep_full)
    assert before - len(questions(messages)) in (1000 // EXCHANGE, 1000 // EXCHANGE + 1)


def test_message_is_sent_when_the_window_is_too_small() -> None:
    agent = replace(WRITER, role_prompt="r" * 5000)
    messages = build_for(100, conversation(past(1), message="m" * 5000), agent, Said("critic", "Critic", "c" * 5000))
    assert [message.role for message in messages] == ["system", "user"]
    assert "r" * 5000 in messages[0].text
    assert "m" * 5000 in messages[1].text
    assert "c" * 5000 in messages[1].text


def test_upper_bound_of_tokens_is_one_for_each_byte() -> None:
    messages = (Message("system", "abc"), Message("user", "é王😀"))
    assert most_input_tokens(messages) == REQUEST_OVERHEAD + 2 * MESSAGE_OVERHEAD + 3 + (2 + 3 + 4)
    assert most_input_tokens(()) == REQUEST_OVERHEAD
    assert most_input_tokens((), {"a": 1}) == REQUEST_OVERHEAD + len('{"a": 1}')


def test_estimate_of_tokens_is_at_most_the_upper_bound() -> None:
    chance = random.Random(7)
    alphabet = "ab \n.éß王😀\u0301"
    for _ in range(500):
        texts = ["".join(chance.choices(alphabet, k=chance.randrange(60))) for _ in range(chance.randrange(6))]
        messages = [Message("user", text) for text in texts]
        # No tokenizer makes more tokens of a text than it has bytes.
        assert sum(len(text.encode()) for text in texts) <= most_input_tokens(messages)
        assert estimate_tokens(messages) <= most_input_tokens(messages)


class TestTokenEstimates:
    ROOM = MODEL.context_window - CAP - REQUEST_OVERHEAD

    def test_room_is_the_window_less_the_output_cap_without_a_count(self) -> None:
        assert TokenEstimates().room(MODEL, CAP) == self.ROOM

    def test_estimate_that_was_too_low_is_corrected_at_once(self) -> None:
        estimates = TokenEstimates()
        estimates.learn("fast", 1000, 1600)
        assert estimates.room(MODEL, CAP) == int(self.ROOM / 1.6)

    def test_estimate_that_was_too_high_is_corrected_gradually(self) -> None:
        estimates, rooms = TokenEstimates(), [self.ROOM]
        for _ in range(60):
            estimates.learn("fast", 1000, 800)
            rooms.append(estimates.room(MODEL, CAP))
        assert rooms == sorted(rooms)
        assert rooms[1] - rooms[0] < (rooms[-1] - rooms[0]) / 5
        assert rooms[-1] == pytest.approx(self.ROOM / 0.8, rel=0.001)

    def test_estimate_of_one_alias_does_not_change_another(self) -> None:
        estimates = TokenEstimates()
        estimates.learn("deep", 1000, 2000)
        assert estimates.room(MODEL, CAP) == self.ROOM

    def test_estimate_is_unchanged_by_the_count_of_a_short_prompt(self) -> None:
        estimates = TokenEstimates()
        estimates.learn("fast", 255, 2550)
        assert estimates.room(MODEL, CAP) == self.ROOM

    @pytest.mark.parametrize(("counted", "factor"), [(0, 0.5), (10**12, 3.0)])
    def test_room_stays_within_its_bounds_after_every_count(self, counted: int, factor: float) -> None:
        estimates = TokenEstimates()
        for _ in range(200):
            estimates.learn("fast", 1000, counted)
        assert estimates.room(MODEL, CAP) == pytest.approx(self.ROOM / factor, rel=0.001)

    def test_a_named_window_is_forgotten_after_a_while(self) -> None:
        now = [0.0]
        estimates = TokenEstimates(lambda: now[0])
        estimates.learn_window(MODEL, 4096, CAP)
        assert estimates.window(MODEL) == 4096
        now[0] = WINDOW_KNOWN_S
        assert estimates.window(MODEL) == MODEL.context_window


def test_prompts_build_an_agents_first_prompt_once_for_the_same_room() -> None:
    prompts = Prompts(conversation(past(1)))
    first = prompts.for_agent(WRITER, (), 4000)
    assert prompts.for_agent(WRITER, (), 4000) is first
    assert prompts.for_agent(replace(WRITER, role_prompt="Write more."), (), 4000) != first
    assert prompts.for_agent(WRITER, (Said("critic", "Critic", "No."),), 4000) != first
