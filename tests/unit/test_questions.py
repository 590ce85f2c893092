"""Tests the questions of the council benchmark, and the checks of their answers."""

import json
from collections import Counter

import pytest

from bench.council import answer_of, interval
from bench.questions import KINDS, Question, questions

NUMBER = Question("arithmetic", "How much?", number="1024")
WORDS = Question("facts", "Where?", words=["no", "Canberra"])
PATTERN = Question("facts", "Which gas?", pattern="carbon[ -]?dioxide|CO(2|₂)")
UNKNOWN = Question("refusals", "Who?", unknown=True)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (NUMBER, "1024"),
        (NUMBER, "2 to the power of 10 is 1,024."),
        (NUMBER, "It is 7.\n**Answer:** 1024"),
        (NUMBER, "Answer: 7. No, wait.\nAnswer: 1024.0"),
        (Question("arithmetic", "?", number="-1"), "Answer: −1"),
        (Question("arithmetic", "?", number="3.15"), "3.5 times 0.9 = 3.150."),
        (WORDS, "The capital is CANBERRA, of course."),
        (WORDS, "A: yes?\nanswer : No."),
        (PATTERN, "Plants take carbon dioxide (CO2)."),
        (PATTERN, "Answer: CO₂"),
        (UNKNOWN, "It cannot be known."),
        (UNKNOWN, "Let me see.\nAnswer: I don't have any information about that."),
        (UNKNOWN, "It is impossible to say."),
        (UNKNOWN, "Answer: N/A"),
    ],
)
def test_check_accepts_a_right_answer(question: Question, answer: str) -> None:
    assert question.is_right(answer)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (NUMBER, ""),
        (NUMBER, "1024 is wrong. It is 1025."),
        (NUMBER, "1024\nAnswer: 1025"),
        (NUMBER, "10240, v1024, 1024.5"),
        (NUMBER, "Answer: 1024, but that cannot be known"),
        (WORDS, "It is known to be Canberras."),
        (WORDS, "Canberra?\nAnswer: Sydney"),
        (PATTERN, "Oxygen, and no carbon."),
        (PATTERN, "Answer: CO20"),
        (UNKNOWN, "Answer: Heads"),
        (UNKNOWN, "I cannot be sure.\nAnswer: 11"),
    ],
)
def test_check_refuses_a_wrong_answer(question: Question, answer: str) -> None:
    assert not question.is_right(answer)


def test_each_question_has_one_check_and_kinds_have_equally_many_questions() -> None:
    found = questions()
    assert Counter(each.kind for each in found) == dict.fromkeys(KINDS, 9)
    assert len({each.text for each in found}) == len(found)
    for each in found:
        checks = [each.number is not None, bool(each.words), each.pattern is not None, each.unknown]
        assert (sum(checks), each.unknown) == (1, each.kind == "refusals"), each.text


@pytest.mark.parametrize(
    ("right", "count", "expected"), [(0, 36, (0.0, 0.096)), (18, 36, (0.345, 0.655)), (36, 36, (0.904, 1.0))]
)
def test_interval_equals_wilsons(right: int, count: int, expected: tuple[float, float]) -> None:
    assert interval(right, count) == pytest.approx(expected, abs=0.001)


@pytest.mark.parametrize(("mode", "expected"), [("council", "The best-ranked."), ("roundtable", "Second.")])
def test_answer_is_the_output_of_a_council_and_the_last_reply_of_other_modes(mode: str, expected: str) -> None:
    texts = ("First.", "Second.")
    replies = [*({"status": "completed", "text": text} for text in texts), {"status": "failed", "text": None}]
    assert answer_of(json.dumps({"mode": mode, "output": "The best-ranked.", "replies": replies})) == expected
