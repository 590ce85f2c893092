"""How two statements relate: one repeats the other, adds to it, or says otherwise about the same thing.

Words decide it; no model is asked. The rule this file protects: when in doubt, two statements are about different
things. To keep one too many costs a line, to take one away costs a fact.
"""

import re
from functools import cached_property
from typing import Final, Literal

from shared.summary.words import CHANGE, NOT, SMALL, Token, is_value, tokens

# `repeats`: it adds nothing to the other. `extends`: it says all that the other says, and more. `contradicts`: both
# are about one thing and give it different values.
Relation = Literal["repeats", "extends", "contradicts", "differs"]

# What of the longer one the shorter one must have for both to say the same; less where it says more than two words.
_SAME: Final = 0.6
_SAME_OF_MANY: Final = 0.5
# How much of two statements must be alike where they differ in what comes after "is".
_FRAME: Final = 0.5
_LONGEST_VALUE: Final = 3

_CLAUSES: Final = re.compile(r"[,;()]\s|\b(?:because|since|after|so|but|as|with)\b")
# What one person does at a time, and what one picks one thing for.
_ROLES: Final = frozenset({"lead", "own", "manag", "chair", "head", "direct", "coordinat", "supervis"})
_CHOICES: Final = frozenset({"us", "choos", "pick", "select", "adopt", "prefer", "deploy", "host"})
# A number behind one of these is a name.
_NUMBERED: Final = frozenset(
    {"phas", "step", "stag", "version", "option", "sprint", "room", "mileston", "chapter", "part", "team", "group"}
    | {"level", "plan", "modul", "floor", "track", "question", "task", "ticket", "figur", "tabl", "item", "lin"}
)
_DETERMINED: Final = re.compile(r"\s*(?:the|our|my|his|her|their|its|this)\b|[^:]{1,60}:\s", re.IGNORECASE)
_PLACES: Final = frozenset(
    {"in", "on", "at", "from", "for", "with", "under", "over", "between", "by", "to", "of", "near"}
)
_ASKING: Final = frozenset({"what", "which", "how", "whose"})
# What of a statement's words must have been said.
_SAID: Final = 0.8
_SENTENCES: Final = re.compile(r"(?<=[.!?])\s+|\n+")
_UNSURE: Final = re.compile(
    r"\b(?:unclear|unknown|undecided|unanswered|whether|tbd|pending|not (?:yet|decided|known|clear|sure))\b",
    re.IGNORECASE,
)


class Statement:
    """One item of a list, read as words. `content` are those that carry meaning."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokens(text)
        # In order, without articles and auxiliaries.
        self.words = [token.stem for token in self.tokens if not token.article]
        self.content = frozenset(token.stem for token in self.tokens if not token.small)

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(token.stem for token in self.tokens if token.capital and not token.small)

    @cached_property
    def main(self) -> frozenset[str]:
        """The content of its main clause, which is the one with most words."""
        return frozenset(token.stem for token in max(self._clauses, key=len) if not token.small)

    @cached_property
    def order(self) -> list[str]:
        """The main clause in order, without articles and auxiliaries, each form of "be" as `be`."""
        return [token.stem for token in max(self._clauses, key=len) if token.stem not in CHANGE and not token.article]

    @cached_property
    def _clauses(self) -> list[list[Token]]:
        parts = [part for part in _CLAUSES.split(self.text) if part.strip()] or [self.text]
        return [tokens(part) for part in parts]

    def values(self) -> frozenset[str]:
        return frozenset(filter(is_value, self.content))


def relate(new: Statement, old: Statement) -> Relation:
    """What `new` is to `old`, both of them statements and no questions."""
    if new.content == old.content:
        return "repeats" if new.content or new.words == old.words else "differs"
    more, less = new.content - old.content, old.content - new.content
    if more | less == {NOT} and (NOT in new.main) != (NOT in old.main):
        return "contradicts"
    if new.values() and new.values() == old.values():
        # "was moved to 3 May" and "takes place on 3 May" say the same.
        more, less = more - CHANGE, less - CHANGE
    likeness = _likeness(new, old, more, less)
    if likeness:
        return likeness
    return (
        "contradicts"
        if _other_value(new, old) or _other_name(new, old, more, less) or _other_end(new, old)
        else "differs"
    )


def relate_questions(new: Statement, old: Statement) -> Relation:
    """The same for questions, which cannot contradict each other."""
    if new.content == old.content:
        return "repeats"
    return _likeness(new, old, new.content - old.content, old.content - new.content) or "differs"


def _likeness(new: Statement, old: Statement, more: frozenset[str], less: frozenset[str]) -> Relation | None:
    if more and less:
        return None
    short, long_ = (old, new) if more else (new, old)
    common = short.content & long_.content
    # A clause that was added does not make it another statement.
    length = len(long_.main if common <= long_.main else long_.content)
    share = _SAME_OF_MANY if len(common) > 2 else _SAME
    return ("extends" if more else "repeats") if 0 < share * length <= len(common) else None


def _other_value(new: Statement, old: Statement) -> bool:
    """Whether the main clauses differ in numbers, dates and the like alone."""
    more, less = new.main - old.content - CHANGE, old.main - new.content - CHANGE
    if not more or not less or not all(map(is_value, more | less)) or not new.content & old.content:
        return False
    return not any(_numbered(statement, differing) for statement, differing in ((new, more), (old, less)))


def _numbered(statement: Statement, differing: frozenset[str]) -> bool:
    """Whether a number that differs is part of a name, as in "Phase 2" or at the head of a statement."""
    words = statement.words
    return any(
        word in differing and (words[index - 1] in _NUMBERED or (index == 1 and not is_value(words[0])))
        for index, word in enumerate(words)
        if index
    )


def _other_name(new: Statement, old: Statement, more: frozenset[str], less: frozenset[str]) -> bool:
    """Whether another person has the role, or another thing was picked for the same use."""
    more, less = more - CHANGE, less - CHANGE
    if len(more) != 1 or len(less) != 1 or not (more <= new.names and less <= old.names):
        return False
    common = new.content & old.content
    if len(common) >= 2 and common & _ROLES:
        return True
    chosen = all(
        statement.order[:1] != [*differing] or "be" in statement.order
        for statement, differing in ((new, more), (old, less))
    )
    return len(common) >= 2 and bool(common & _CHOICES) and chosen


def _other_end(new: Statement, old: Statement) -> bool:
    """Whether "the thing is this" became "the thing is that"."""
    if not (_DETERMINED.match(new.text) or _DETERMINED.match(old.text)):
        return False
    start = _common(new.order, old.order)
    end = _common(new.order[start:][::-1], old.order[start:][::-1])
    values = [order[start : len(order) - end] for order in (new.order, old.order)]
    if "be" not in new.order[1:start] or not all(0 < len(value) <= _LONGEST_VALUE for value in values):
        return False
    if (values[0][0] in _PLACES) != (values[1][0] in _PLACES):
        return False
    share = (start + end) / max(len(new.order), len(old.order))
    return share >= _FRAME and (len(values[0]) == len(values[1]) or share > _SAME)


def _common(words: list[str], other: list[str]) -> int:
    length = 0
    for word, match in zip(words, other, strict=False):
        if word != match:
            break
        length += 1
    return length


def answers(statement: Statement, question: Statement) -> bool:
    """Whether a statement says all that a question asks about."""
    if _UNSURE.search(statement.text):
        return False
    asked = _asked(question)
    if len(asked) == 1:
        # One word is enough only for what the statement is about: "What is the budget?", "The budget is ...".
        return [word for word in statement.order if word not in SMALL][:1] == [*asked] and "be" in statement.order[:3]
    return bool(asked) and asked <= statement.content


def _asked(question: Statement) -> frozenset[str]:
    """The content of a question without what it asks for: "which fish" and "how high" are not in the answer, and of
    "this or that" only one is."""
    stems = [token.stem for token in question.tokens]
    left_out: set[str] = set()
    for index, stem in enumerate(stems):
        if stem in _ASKING:
            left_out |= set(stems[index + 1 : index + 2])
        if stem == "or":
            left_out |= {*stems[max(0, index - 1) : index], *stems[index + 1 : index + 2]}
    return question.content - left_out


class Talk:
    """What was said in some turns, sentence by sentence."""

    def __init__(self, text: str) -> None:
        said = (Statement(sentence) for sentence in _SENTENCES.split(text))
        self._sentences = [sentence.content for sentence in said if sentence.content]

    def says(self, statement: Statement) -> bool:
        """Whether a sentence of it says this, more or less: every value, and most of the words."""
        values, content = statement.values(), statement.content
        return any(values <= said and len(content & said) >= _SAID * len(content) for said in self._sentences)

    def has_numbers(self, words: frozenset[str]) -> bool:
        """Whether one of the numbers among these words is in it, or there is none among them."""
        numbers = {word for word in words if word[0].isdigit()}
        return not numbers or any(numbers & said for said in self._sentences)

    def last(self, words: frozenset[str], about: frozenset[str]) -> int:
        """In which sentence one of the words was said last together with one that tells what it is about; -1 where
        none was."""
        mentions = (index for index, sentence in enumerate(self._sentences) if words & sentence and about & sentence)
        return max(mentions, default=-1)
