"""Carrying a structure forward. Models forget, repeat and contradict themselves; what was once extracted stays.

An item leaves its list for four reasons only, and then it is archived: a newer one says otherwise or says more, the
model calls it outdated, it is a question that has been answered, or there is no room and it is the oldest. What is in
the archive comes back only when the turns speak of it: a model that brings it up by itself remembers what is over.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from shared.domain.summary import LISTS, Structure, Summary
from shared.summary.likeness import Statement, Talk, answers, relate, relate_questions
from shared.summary.words import NOT

_QUESTIONS = "open_questions"
_TOLD = ("key_facts", "decisions")
_STATEMENTS = (*_TOLD, "action_items")
# What models put into a list that has nothing in it.
_NOTHING = frozenset({"none", "n/a", "na", "null", "nil", "nothing", "unknown", "tbd", "not applicable"})
# Of so many items, a model that calls nearly all outdated has copied the list.
_COPIED, _NEARLY_ALL = 3, 0.8


_MOST_CHARACTERS, _CHARACTERS_PER_TOKEN = 6000, 3


@dataclass(frozen=True, slots=True)
class Limits:
    """`items` in each list, `characters` in all four together, and as many in the text beside them."""

    items: int = 40
    characters: int = _MOST_CHARACTERS

    @classmethod
    def within(cls, context_window: int) -> "Limits":
        """What leaves three quarters of a window, in tokens, to everything else."""
        return cls(characters=min(_MOST_CHARACTERS, context_window * _CHARACTERS_PER_TOKEN // 4))


@dataclass(frozen=True, slots=True)
class Merged:
    structure: Structure
    archived: Structure


def merge(previous: Summary, extracted: Structure, outdated: Iterable[str], said: str, limits: Limits) -> Merged:
    """`previous` with what was `extracted` now from the turns, whose text is `said`. `outdated` are items of it that
    the model says no longer hold; its archive is what left with the last few summaries."""
    memory = _Memory(previous, Talk(said))
    memory.retire(outdated)
    for name in _STATEMENTS:
        for item in getattr(extracted, name):
            memory.add(name, item)
    memory.close_questions()
    for item in extracted.open_questions:
        memory.add_question(item)
    memory.shrink(limits)
    return Merged(_structure(memory.held), _structure(memory.gone))


@dataclass
class _Memory:
    """The four lists while they are carried forward: what is `held`, what is `gone`, what is `fresh` of it."""

    previous: Summary
    talk: Talk
    held: dict[str, list[Statement]] = field(init=False)
    gone: dict[str, list[Statement]] = field(init=False)
    fresh: list[Statement] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.held = {name: [Statement(item) for item in getattr(self.previous.structure, name)] for name in LISTS}
        self.gone = {name: [] for name in LISTS}
        self._left = {name: [Statement(item) for item in getattr(self.previous.archived, name)] for name in LISTS}

    def retire(self, outdated: Iterable[str]) -> None:
        """Archive what the model calls outdated, unless it calls nearly everything so."""
        named = {id(held): (name, held) for entry in outdated for name, held in self._named(Statement(entry))}
        count = sum(map(len, self.held.values()))
        if count < _COPIED or len(named) < _NEARLY_ALL * count:
            for name, held in named.values():
                self._archive(name, held)

    def add(self, name: str, item: str) -> None:
        """Put a statement where it belongs: nowhere, in the place of one that it extends, or at the end."""
        new = Statement(item)
        if _blank(new):
            return
        relations = [(relate(new, old), where, old) for where in _related(name) for old in self.held[where]]
        over = self._was_archived(_related(name), new)
        if any(relation == "repeats" for relation, _, _ in relations) or (over and not self.talk.says(new)):
            return
        if any(new.words == old.words for where in _STATEMENTS for old in self.held[where]):
            return
        self.fresh.append(new)
        for relation, where, old in relations:
            if relation == "contradicts" and self._stands(old, new, over=over):
                self.gone[name].append(new)
                return
            if relation == "extends" and where == name:
                self.held[name][self.held[name].index(old)] = new
                self.gone[name].append(old)
                return
        for relation, where, old in relations:
            if relation in ("contradicts", "extends"):
                self._archive(where, old)
        self.held[name].append(new)

    def close_questions(self) -> None:
        """Archive the questions that something new answers."""
        for question in list(self.held[_QUESTIONS]):
            if any(answers(statement, question) for statement in self.fresh):
                self._archive(_QUESTIONS, question)

    def add_question(self, item: str) -> None:
        """A question that nobody asked in these turns is not open because the model says so: not if it was closed
        before, and not if what is known answers it."""
        new, held = Statement(item), self.held[_QUESTIONS]
        relations = [(relate_questions(new, old), old) for old in held]
        if _blank(new) or any(relation == "repeats" for relation, _ in relations) or self._stays_closed(new):
            return
        known = [statement for name in _STATEMENTS for statement in self.held[name]]
        if any(answers(statement, new) for statement in (self.fresh if self.talk.says(new) else known)):
            self.gone[_QUESTIONS].append(new)
            return
        for relation, old in relations:
            if relation == "extends":
                self._archive(_QUESTIONS, old)
        held.append(new)

    def shrink(self, limits: Limits) -> None:
        """Archive the oldest of each list that is too long, and then of whichever list takes most room."""
        for name in LISTS:
            while len(self.held[name]) > limits.items:
                self._archive(name, self.held[name][0])
        sizes = {name: sum(len(held.text) for held in self.held[name]) for name in LISTS}
        while sum(sizes.values()) > limits.characters:
            name = max(sizes, key=lambda name: sizes[name])
            sizes[name] -= len(self.held[name][0].text)
            self._archive(name, self.held[name][0])

    def _archive(self, name: str, statement: Statement) -> None:
        self.held[name].remove(statement)
        self.gone[name].append(statement)

    def _named(self, entry: Statement) -> list[tuple[str, Statement]]:
        """The held items that an entry under `outdated` means: the same words, or else whatever repeats it."""
        known = [(name, held) for name in LISTS for held in self.held[name]]
        exactly = [(name, held) for name, held in known if held.content == entry.content]
        return exactly or [(name, held) for name, held in known if relate_questions(entry, held) != "differs"]

    def _was_archived(self, names: Iterable[str], new: Statement) -> bool:
        left = (old for name in names for old in (*self._left[name], *self.gone[name]))
        twins = (old for name in LISTS for old in (*self._left[name], *self.gone[name]))
        return any(relate_questions(new, old) != "differs" for old in left) or any(
            new.words == old.words for old in twins
        )

    def _stays_closed(self, question: Statement) -> bool:
        return self._was_archived([_QUESTIONS], question) and not self.talk.says(question)

    def _stands(self, old: Statement, new: Statement, *, over: bool) -> bool:
        """Whether what is held holds on: it was said last in these turns, or nobody said the number that would take
        its place. What was over before must have been said last itself."""
        common = new.content & old.content
        telling = [each.content - common - {NOT} for each in (old, new)]
        if not self.talk.has_numbers(telling[1]):
            return True
        last = [self.talk.last(words, common) for words in telling]
        return last[0] >= last[1] if over else last[0] > last[1]


def _related(name: str) -> tuple[str, ...]:
    """The lists in which an item may have a twin: models file a decision as a fact. To do something and that it was
    done are two things, in nearly the same words."""
    return (name,) if name == "action_items" else (name, *(other for other in _TOLD if other != name))


def _blank(statement: Statement) -> bool:
    text = statement.text.strip().rstrip(".").casefold()
    return not statement.tokens or text in _NOTHING


def _structure(lists: Mapping[str, Sequence[Statement]]) -> Structure:
    return Structure(**{name: tuple(statement.text for statement in lists[name]) for name in LISTS})
