"""Script one honest summariser, and seven that each always misbehave in one way.

Each knows only the turns and items of its prompt, like a model.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from bench.planted import Planted, PlantedConversation
from shared.domain.summary import LETTERS, LISTS
from shared.llm.port import Completion, Message

Answer = dict[str, Any]
Known = Mapping[str, str]
_KNOWN: Final = re.compile(r"^\[(\w+)\] (.*)$", re.MULTILINE)
_TURNS: Final = "\n\nThe turns:\n\n"
_NOTE: Final = "N.B. "
_LIST_OF: Final = {letter: name for name, letter in LETTERS.items()}


class ScriptedSummariser:
    """Answer the two stages of a summary. `habit` is one of HABITS."""

    def __init__(self, conversation: PlantedConversation, habit: str) -> None:
        self.conversation = conversation
        self._spoil = HABITS[habit]

    def write(self, messages: Sequence[Message]) -> Completion:
        """Answer the first stage."""
        return Completion("succeeded", f"They talk. {messages[-1].text[-200:]}", "end_turn")

    def extract(self, messages: Sequence[Message]) -> Completion:
        """Answer the second stage."""
        items, _, turns = messages[-1].text.partition(_TURNS)
        known = dict(_KNOWN.findall(items))
        new = [each for each in self.conversation.planted if each.text in turns]
        answer = json.dumps(self._spoil(_honest(new, known), known), ensure_ascii=False)
        return Completion("succeeded", answer, "end_turn")


def _honest(new: Sequence[Planted], known: Known) -> Answer:
    add: dict[str, list[str]] = {name: [] for name in LISTS}
    answer: Answer = {"add": add, "replace": [], "close": []}
    ids = {text: id_ for id_, text in known.items()}
    for each in new:
        ended = ids.get(each.ends or "")
        if ended is not None and ended.startswith(LETTERS[each.list]):
            answer["replace"].append({"id": ended, "text": each.text})
            continue
        if ended is not None:
            answer["close"].append({"id": ended, "reason": "answered", "of": None})
        add[each.list].append(each.text)
    return answer


def _forget(answer: Answer, _: Known) -> Answer:
    return {"add": {name: texts[::2] for name, texts in answer["add"].items()}, "replace": [], "close": []}


def _repeat(answer: Answer, known: Known) -> Answer:
    return _also(answer, {id_: f" {text.swapcase().rstrip('.?。')}  !" for id_, text in known.items()})


def _paraphrase(answer: Answer, known: Known) -> Answer:
    return _also(answer, {id_: f"{_NOTE}{text}" for id_, text in known.items() if not text.startswith(_NOTE)})


def _contradict(answer: Answer, known: Known) -> Answer:
    """Change the digits of every third known item, and of everything new."""
    replaced = [{"id": id_, "text": _other_digits(text)} for id_, text in list(known.items())[::3]]
    new = {
        name: [said for text in texts for said in (text, _other_digits(text))] for name, texts in answer["add"].items()
    }
    return {"add": new, "replace": replaced, "close": []}


def _copy(answer: Answer, known: Known) -> Answer:
    return _also(_close_all(answer, known), known)


def _close_all(answer: Answer, known: Known) -> Answer:
    return {**answer, "close": [{"id": id_, "reason": "outdated", "of": None} for id_ in known]}


def _mistake_ids(answer: Answer, known: Known) -> Answer:
    """Name unknown ids, misspell known ones, and call items duplicates of themselves."""
    wrong = [{"id": f"({name[0]})", "reason": "done"} for name in LISTS]
    odd = [{"id": f"[{id_.lower()}].", "reason": "duplicate", "of": id_} for id_ in list(known)[::4]]
    unheard = [{"id": f"F{n}", "text": text} for n, text in enumerate(answer["add"]["key_facts"], 900)]
    return {"add": {**answer["add"], "key_facts": []}, "replace": unheard, "close": wrong + odd}


def _also(answer: Answer, texts: Known) -> Answer:
    """Return the answer with the texts added to the lists of their ids."""
    add = {name: list(said) for name, said in answer["add"].items()}
    for id_, text in texts.items():
        add[_LIST_OF[id_[0]]].append(text)
    return {**answer, "add": add}


def _other_digits(text: str) -> str:
    return re.sub(r"\d", lambda digit: str(9 - int(digit[0])), text)


HABITS: Final[Mapping[str, Callable[[Answer, Known], Answer]]] = {
    "honest": lambda answer, _: answer,
    "forgets": _forget,
    "repeats": _repeat,
    "paraphrases": _paraphrase,
    "contradicts": _contradict,
    "copies": _copy,
    "closes all": _close_all,
    "wrong ids": _mistake_ids,
}
