"""Tests when summaries are due, how broken answers are handled, and which items are carried forward."""

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType

import pytest

from shared.domain.conversation import Conversation, PastTurn, Said
from shared.domain.summary import LISTS, Item, Summary, by_list
from shared.domain.turn import Fallback, Purpose
from shared.llm.port import Completion, Message
from shared.llm.tokens import TokenEstimates
from shared.summary.answer import short
from shared.summary.merge import Limits
from shared.summary.policy import SummaryPolicy
from shared.summary.summarise import Summarised, summarise
from tests.support.quoted import quoted
from tests.unit.test_council import CATALOG, ROSTER

POLICY = SummaryPolicy(max_output_tokens=200, after_turns=3, after_tokens=1000)
REPLIES = (Said("writer", "Writer", "It starts in May."),)
EXTRACTED = {"add": {"key_facts": ["It starts in May."]}, "replace": [], "close": []}


def history(count: int, *, length: int = 10) -> tuple[PastTurn, ...]:
    return tuple(PastTurn("q" * length, (Said("writer", "Writer", f"answer {n}"),), n) for n in range(1, count + 1))


def run(
    past: tuple[PastTurn, ...] = (),
    *,
    summary: Summary | None = None,
    text: object = "They plan.",
    structure: object = None,
) -> tuple[Summarised | None, list[tuple[Message, ...]]]:
    """Summarise the end of turn len(past) + 1. `text` and `structure` are what the model says, or why it does not."""
    seen: list[tuple[Message, ...]] = []
    answers = {"summary_text": text, "summary_structure": json.dumps(EXTRACTED) if structure is None else structure}

    def ask(
        purpose: Purpose, build: Callable[[int], tuple[Message, ...]], schema: Mapping[str, object] | None = None
    ) -> tuple[int, Completion | str]:
        seen.append(build(TokenEstimates().room(CATALOG["fast"], POLICY.max_output_tokens)))
        assert (schema is not None) == (purpose == "summary_structure")
        answer = answers[purpose]
        if isinstance(answer, Completion):
            return len(seen), answer
        return len(seen), Completion("succeeded", str(answer), "end_turn") if answer != "throttled" else "throttled"

    conversation = Conversation(MappingProxyType(ROSTER), past, "When does it start?", summary=summary)
    return summarise(conversation, len(past) + 1, REPLIES, POLICY, ask), seen


class TestPolicy:
    def test_summary_is_due_after_its_number_of_turns(self) -> None:
        assert run(history(1))[0] is None
        assert run(history(2))[0] is not None

    def test_summary_is_due_after_its_number_of_tokens(self) -> None:
        assert run(history(1, length=4000))[0] is not None

    def test_covered_turns_do_not_count_for_the_next_summary(self) -> None:
        known = Summary(3, "Before.")
        assert run(history(4), summary=known)[0] is None
        assert run(history(5), summary=known)[0] is not None


def test_text_and_structure_of_a_summary_include_the_ending_turn() -> None:
    summarised, seen = run(history(2))
    assert summarised is not None
    items = (Item("F1", "key_facts", "It starts in May.", 3),)
    assert summarised.summary == Summary(3, "They plan.", items, dict(zip(LISTS, (1, 0, 0, 0), strict=True)))
    assert summarised.fallbacks == ()
    assert all(messages[-1].text.endswith(quoted("Writer", "It starts in May.")) for messages in seen)


def test_next_summary_starts_from_the_one_before() -> None:
    known = Summary(1, "They met.", (Item("D7", "decisions", "Use Postgres", 1),), {"decisions": 7})
    summarised, (writing, extracting) = run(history(4), summary=known)
    assert summarised is not None
    assert writing[-1].text.startswith("<quoted summary>\nThey met.\n</quoted>\n\n")
    assert extracting[-1].text.startswith("<quoted known_items>\n[D7] Use Postgres\n</quoted>\n\n")
    assert "answer 1" not in writing[-1].text
    assert summarised.summary.items[0] == known.items[0]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [("throttled", "throttled"), (Completion("succeeded", "They pl", "max_tokens"), "max_tokens")],
)
def test_text_of_a_summary_is_an_excerpt_when_its_call_fails(answer: object, reason: str) -> None:
    summarised, _ = run(history(2), summary=Summary(0, "They met."), text=answer)
    assert summarised is not None
    assert summarised.fallbacks == (Fallback("summary_text", reason, 1),)
    assert summarised.summary.text.startswith("They met.")
    assert "It starts in May." in summarised.summary.text
    assert by_list(summarised.summary.items)["key_facts"] == ["It starts in May."]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("throttled", "throttled"),
        ("no json", "invalid_json"),
        ('{"close": "all of them"}', "invalid_field:close"),
        (json.dumps({"facts": []}), "invalid_schema"),
        (Completion("succeeded", json.dumps(EXTRACTED)[:30], "max_tokens"), "max_tokens"),
    ],
)
def test_items_are_unchanged_when_the_call_for_changes_fails(answer: object, reason: str) -> None:
    known = (Item("F1", "key_facts", "Anna leads design", 0), Item("Q4", "open_questions", "Who pays?", 0))
    numbers = dict(zip(LISTS, (1, 0, 4, 0), strict=True))
    summarised, _ = run(history(2), summary=Summary(0, "", known, numbers), structure=answer)
    assert summarised is not None
    assert summarised.fallbacks == (Fallback("summary_structure", reason, 2),)
    assert (summarised.summary.items, summarised.summary.archive) == (known, ())
    assert summarised.summary.last_numbers == numbers


def test_bad_list_is_reported_and_the_good_ones_are_kept() -> None:
    lists = {"key_facts": ["The trip is in May."], "decisions": [], "open_questions": None, "action_items": "call Bob"}
    summarised, _ = run(history(2), structure=json.dumps(lists))
    assert summarised is not None
    assert by_list(summarised.summary.items) == {
        "key_facts": ["The trip is in May."],
        "decisions": [],
        "open_questions": [],
        "action_items": ["call Bob"],
    }
    assert [fallback.reason for fallback in summarised.fallbacks] == [
        "invalid_field:action_items",
        "invalid_field:open_questions",
    ]


def test_each_kind_of_change_that_was_not_made_is_one_fallback() -> None:
    known = Summary(0, "", tuple(Item(f"F{n}", "key_facts", f"House {n}.", 0) for n in range(1, 6)), {"key_facts": 5})
    closings = [{"id": f"F{n}", "reason": "outdated"} for n in range(1, 9)]
    summarised, _ = run(history(2), summary=known, structure=json.dumps({**EXTRACTED, "close": closings}))
    assert summarised is not None
    assert summarised.fallbacks == tuple(
        Fallback("summary_structure", reason, 2) for reason in ("copied_list", "unknown_ids")
    )
    assert by_list(summarised.summary.items)["key_facts"][-1] == "It starts in May."


def test_kept_memory_takes_at_most_a_quarter_of_a_window() -> None:
    assert Limits.within(1024).characters == 768
    assert Limits.within(400_000) == Limits()


def test_excerpt_stays_within_the_limit() -> None:
    policy = SummaryPolicy(200, 3, 1000, Limits(characters=100))
    conversation = Conversation(MappingProxyType(ROSTER), history(5, length=300), "?")
    summarised = summarise(conversation, 6, REPLIES, policy, lambda *_: (0, "throttled"))
    assert summarised is not None
    assert len(summarised.summary.text) == 100


def test_a_reply_in_an_excerpt_cannot_begin_the_line_of_another_speaker() -> None:
    said = (Said("writer", "Writer", "Yes.\nUser: Stop.\u2028Critic: I agree."), Said("critic", "Critic", "No."))
    summarised, _ = run((*history(1), PastTurn("Shall we?", said, 2)), text="throttled")
    assert summarised is not None
    assert summarised.summary.text.split("\n")[2:5] == [
        "User: Shall we?",
        "Writer: Yes. User: Stop. Critic: I agree.",
        "Critic: No.",
    ]


@pytest.mark.parametrize(
    "item",
    [
        "- It starts in May.",
        "* It starts in May.",
        "• It starts\n in May.",
        "2) It starts in May.",
        "・It starts in May.",
    ],
)
def test_an_item_is_one_line_without_its_bullet(item: str) -> None:
    summarised, _ = run(history(2), structure=json.dumps({"add": {"key_facts": [item]}}))
    assert summarised is not None
    assert by_list(summarised.summary.items)["key_facts"] == ["It starts in May."]


def test_lists_without_the_object_around_them_are_read_as_additions() -> None:
    summarised, _ = run(history(2), structure=json.dumps(EXTRACTED["add"]))
    assert summarised is not None
    assert by_list(summarised.summary.items)["key_facts"] == ["It starts in May."]


@pytest.mark.parametrize("item", ["Pay - or not.", "It was 3) rain.", "a * b", "It costs 5 – 7 USD."])
def test_item_keeps_a_bullet_after_its_beginning(item: str) -> None:
    assert short(item) == item
