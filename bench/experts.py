"""Scripted agents that know some kinds of questions, so that a benchmark's figures are known before it runs.

The first agent knows facts, the second also arithmetic, the third all kinds except refusals. The chair knows all kinds.
"""

import json
from collections.abc import Sequence
from typing import Final

from bench.questions import KINDS, Question
from shared.domain.money import Usage
from shared.llm.port import Completion, OnText, Request

USAGE: Final = Usage(input_tokens=100, output_tokens=10)
_KNOWN: Final = {"You are Ada,": KINDS[:1], "You are Ben,": KINDS[:2], "You are Cleo,": KINDS[:3]}
_CHAIR, _REVIEW = "You chair this council", "You judge answers"


class Experts:
    """Answer `questions` by the rules above."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self._questions = questions

    def complete(self, request: Request, _on_text: OnText | None = None) -> Completion:
        return Completion("succeeded", self._text(request), "end_turn", USAGE, "scripted")

    def _text(self, request: Request) -> str:
        system, asked = request.messages[0].text, request.messages[-1].text
        if system.startswith(_REVIEW):
            letters = [letter for letter in "ABC" if f'<quoted answer="{letter}">' in asked]
            return json.dumps({"ranking": letters})
        known = KINDS if _CHAIR in system else next(kinds for name, kinds in _KNOWN.items() if system.startswith(name))
        (question,) = (each for each in self._questions if each.text in asked)
        return f"Answer: {_right(question) if question.kind in known else 'None of these.'}"


def _right(question: Question) -> str:
    if question.unknown:
        return "It cannot be known."
    return question.number or (question.words[0] if question.words else "carbon dioxide")
