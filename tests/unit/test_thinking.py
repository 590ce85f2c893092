"""Tests that thinking is removed from a text, and that a text about thinking is unchanged."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.llm.thinking import split_thinking

NAMES = ("think", "thinking", "thought", "reasoning", "reflection", "THINK", "Thinking", "seed:think")
HONEST = [
    "Use tests.",
    "  Two blanks before, and a line behind.\n",
    "I think <b>so</b>. Think! [think] about it.",
    "The `<think>` tag begins a thought, and `</think>` ends it.",
    "A literal `` ` `` and `a <think> b` on one line.",
    "Write `so. <think>plan</think> and` on one line.",
    "``` <think>plan</think> ``` is code, too.",
    "```xml\n<think>\nFirst the plan.\n</think>\n<answer>Yes.</answer>\n```",
    "Like this:\n\n~~~\n<think>plan</think>\n~~~\n\nand then the answer.",
    "> ```\n> <think>plan</think>\n> ```",
    "Cut off in a fence:\n```xml\n<think>plan</think>\n<answer>",
    "````\n```\n<think>plan</think>\n```\n````",
    'In Python: text.split("</think>")[-1], and the start is "<think>".',
    "DeepSeek opens with the <think> tag.",
    "End it with </think>.",
    "End it with </think>",
    "<thinker>Rodin</thinker> and <rethink>no</rethink>",
    "1 < think > 2",
]
PIECES = (
    *(
        "<think>",
        "</think>",
        "<thinking>",
        "</reasoning>",
        "[THINK]",
        "[/THINK]",
        '<think a="b">',
        "◁think▷",
        "◁/think▷",
    ),
    *("`", "``", "```\n", "\n```\n", "~~~\n", "\n", "\n\n", " ", ".", '"', "(", ")", ">", "a", "Yes. ", "<", "\u00a0"),
)
TEXTS = st.one_of(st.text(max_size=20), st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
THOROUGH = settings(
    max_examples=1500, derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)


def without_thinking(text: str) -> str:
    return split_thinking(text)[0]


@pytest.mark.parametrize("name", NAMES)
def test_block_is_removed_under_each_of_its_names(name: str) -> None:
    assert without_thinking(f"<{name}>The user wants ...</{name}>Ada plans a trip.") == "Ada plans a trip."


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('<think>{writer, critic}?</think>{"selected_agent_keys":["critic"]}', '{"selected_agent_keys":["critic"]}'),
        ("[THINK]Hm.[/THINK]Yes.", "Yes."),
        ("◁think▷Hm.◁/think▷Yes.", "Yes."),
        ('<reasoning type="deep">Hm.</reasoning>\n\nYes.', "Yes."),
        ("\n <think>\n\n</think>\n\nYes.", "Yes."),
        ("<think>Hm.</think>\n\n    indented = True", "    indented = True"),
        ("<think>One.</think>Yes.\n\n<think>Two.</think>\n\nAnd no.", "Yes.\n\nAnd no."),
        ("Let me see. <think>Hm.</think> Yes.", "Let me see. Yes."),
        ("Hello<think>Hm.</think>world", "Hello world"),
        ("<think>a<think>b</think>c</think>Yes.", "Yes."),
        ("<think>a <thinking>b</thinking> c </think> Yes.", "Yes."),
        ("<think>Hm.</thinking>Yes.", "Yes."),
        ("<think>I open ```python and never close it.</think>Yes.", "Yes."),
        ("<think>I end with `</think>` then.</think>Yes, `a` and `b`.", "Yes, `a` and `b`."),
        ("<think>Hm.</think>```xml\n<think>quoted</think>\n```", "```xml\n<think>quoted</think>\n```"),
        ("Use `<think>` here. <think>Hm.</think>", "Use `<think>` here."),
    ],
)
def test_the_answer_stays_without_its_thinking(text: str, answer: str) -> None:
    assert without_thinking(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>The user wants", ""),
        ("  <think>The user wants ```python\n", ""),
        ("Use tests.\n<think>Did I", "Use tests."),
        ("Use tests. <think>Did I", "Use tests."),
        ("Use tests.<think>Did I", "Use tests."),
        ("<think>Hm.</think> <think>And", ""),
    ],
)
def test_block_without_an_end_extends_to_the_end_of_the_text(text: str, answer: str) -> None:
    assert without_thinking(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Okay, the user wants tests.\n</think>\n\nUse tests.", "Use tests."),
        ("So it is the critic</think>Use tests.", "Use tests."),
        ("Is it {a, b}? </think> Use tests.", "Use tests."),
        ("</think>Use tests.", "Use tests."),
        ("Only thinking.</think>", ""),
    ],
)
def test_closing_mark_alone_ends_a_block_that_the_template_began(text: str, answer: str) -> None:
    assert without_thinking(text) == answer


@pytest.mark.parametrize(
    ("text", "thinking"),
    [
        ("<think>\nThe user wants ...\n</think>\nUse tests.", "The user wants ..."),
        ("<think>One.</think>Yes.\n\n[THINK]Two.[/THINK]\n\nAnd no.", "One.\n\nTwo."),
        ("<think>a <thinking>b</thinking> c </think> Yes.", "a <thinking>b\n\nc"),
        ("Use tests.\n<think>Did I", "Did I"),
        ("So it is the critic</think>Use tests.", "So it is the critic"),
        ("<think>\n\n</think>Use tests.", ""),
        ("</think>Use tests.", ""),
        # The marks of the second pass stood in code in the first.
        ("`<think>`a<think>b</think>", "b"),
        ("Use tests.", ""),
        ("The `<think>` tag.", ""),
    ],
)
def test_thinking_is_returned_without_its_outer_marks(text: str, thinking: str) -> None:
    assert split_thinking(text)[1] == thinking


@pytest.mark.parametrize("text", HONEST)
def test_text_about_thinking_is_unchanged(text: str) -> None:
    assert without_thinking(text) == text
    assert without_thinking(f"<think>Hm.</think>{text}") == text.lstrip(" ")


@THOROUGH
@given(TEXTS)
def test_removal_is_idempotent(text: str) -> None:
    once = without_thinking(text)
    assert without_thinking(once) == once
    assert len(once) <= len(text)


@THOROUGH
@given(st.text())
def test_text_without_marks_is_unchanged(text: str) -> None:
    assert without_thinking(text) is text


@THOROUGH
@given(st.text(), st.text(alphabet=st.characters(exclude_characters="`~<>[]◁▷")))
def test_block_at_the_beginning_is_removed_with_any_content(thought: str, answer: str) -> None:
    assert without_thinking(f"<think>{thought}</think>{answer}").strip() == answer.strip()


@THOROUGH
@given(TEXTS)
def test_each_letter_is_in_the_answer_or_in_the_thinking(text: str) -> None:
    answer, thinking = split_thinking(text)
    assert answer.count("Y") + thinking.count("Y") == text.count("Y")
