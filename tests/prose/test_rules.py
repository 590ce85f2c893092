"""Tests that each rule of prose finds its example and accepts the example's rewriting."""

import pytest

from tests.prose.passage import Kind, Passage
from tests.prose.rules import Finding, Turn, findings, load

TURNS = {turn.name: turn for turn in load().turns}


def found(text: str, kind: Kind = Kind.PAGE, *, heading: bool = False) -> list[Finding]:
    return findings([Passage(kind, 1, text, heading)])


@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS)
def test_a_turn_of_phrase_is_found_in_its_example(turn: Turn) -> None:
    assert [finding.rule for finding in found(turn.before)] == [turn.name]


@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS)
def test_a_rewritten_example_breaks_no_rule(turn: Turn) -> None:
    assert found(turn.after) == []


@pytest.mark.parametrize("subject", ["What", "Whoever", "Who", "That which"])
def test_a_sentence_breaks_a_rule_when_its_subject_hides_the_actor(subject: str) -> None:
    sentence = f"The row is locked. {subject} waits is told so."
    assert [finding.rule for finding in found(sentence)] == ["subject"]


@pytest.mark.parametrize("sentence", ["What does a turn cost?", "That is the reason.", "Whole turns are counted."])
def test_a_sentence_breaks_no_rule_when_it_asks_or_its_subject_is_plain(sentence: str) -> None:
    assert found(sentence) == []


def test_a_heading_may_name_a_topic() -> None:
    assert found("What a turn costs", heading=True) == []


@pytest.mark.parametrize("kind", Kind)
def test_a_sentence_is_too_long_when_it_has_more_words_than_its_kind_allows(kind: Kind) -> None:
    longest = load().longest[kind]
    words = [f"W{number}" for number in range(longest)]
    assert found(f"Short. {' '.join(words)}.", kind) == []
    assert [finding.rule for finding in found(f"Short. {' '.join(words)} more.", kind)] == ["long"]


def test_two_sentences_are_counted_apart() -> None:
    words = " ".join(f"w{number}" for number in range(load().longest[Kind.PAGE]))
    assert found(f"{words}. It ends. A{words}.") == []


@pytest.mark.parametrize(
    ("before", "after", "check"),
    [
        ("The the row is locked.", "The row is locked.", "lexical_illusions"),
        ("The row is kept for ever.", "The row is never deleted.", "archaism"),
        ("First of all, the row is locked.", "First, the row is locked.", "redundancy"),
        ("The call is very slow.", "The call takes 8 s.", "weasel_words"),
    ],
)
def test_proselint_finds_an_example_and_accepts_its_rewriting(before: str, after: str, check: str) -> None:
    assert [finding.rule.split(".")[1] for finding in found(before)] == [check]
    assert found(after) == []


@pytest.mark.parametrize("text", ['The "word" ... is plain.', "The turn will resume.", "_ _ and _ and _ are code."])
def test_signs_of_the_keyboard_and_code_break_no_rule(text: str) -> None:
    assert found(text) == []


def test_a_finding_has_the_line_of_its_sentence() -> None:
    passages = [
        Passage(Kind.PAGE, 3, "One line.\nThe second. It waits, nor\nlocks."),
        Passage(Kind.PAGE, 9, "A\nthe the"),
    ]
    assert [(finding.line, finding.rule.split(".")[0]) for finding in findings(passages)] == [
        (4, "nor"),
        (10, "proselint"),
    ]
