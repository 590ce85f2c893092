"""A summariser that behaves as badly as real ones do, the same way in every run.

It forgets, says again in other words what is known, brings back what is over, files a decision as a fact, copies what
it calls outdated inexactly or copies all there is, puts "None" into empty lists, and sometimes answers no JSON at all
or only the beginning of one. It reads its prompt like any model: what it was not sent, it does not know.
"""

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bench.planted import Planted, PlantedConversation
from shared.domain.summary import LISTS
from shared.llm.port import Completion, Message

_BROKEN, _FORGET, _AGAIN, _STALE, _UNTOLD, _COPY_ALL, _MISFILED, _TWICE = 0.12, 0.15, 0.35, 0.5, 0.3, 0.06, 0.1, 0.2
# Where an item ends up that is filed under another heading.
_MISTAKEN_FOR = {"key_facts": "decisions", "decisions": "key_facts", "action_items": "decisions"}
Answer = Completion | str


@dataclass
class BadSummariser:
    """`told` is what it has extracted so far, in answers that can be read; `over` what it has given the merge reason
    to archive since, by flagging it as outdated or by saying otherwise in plain words."""

    conversation: PlantedConversation
    seed: int = 0
    told: set[str] = field(default_factory=set)
    over: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._random = random.Random(f"{self.conversation.name} {self.seed}")
        self._by_id = {each.id: each for each in self.conversation.planted}
        self._ids = {wording: each.id for each in self.conversation.planted for wording in each.wordings}

    def identify(self, item: str) -> set[str]:
        """What an item of its own words says."""
        found = self._ids.get(item)
        return {found} if found else set()

    def write(self, messages: Sequence[Message]) -> Answer:
        """Stage one."""
        roll = self._random.random()
        if roll < 0.1:
            return "throttled"
        text = f"They talked about {self.conversation.name}. {messages[-1].text[-200:]}"
        return Completion("succeeded", text, "max_tokens" if roll < 0.2 else "end_turn")

    def extract(self, messages: Sequence[Message]) -> Answer:
        """Stage two."""
        if self._random.random() < _BROKEN:
            return self._broken()
        lines = (line.removeprefix("- ") for line in messages[0].text.splitlines())
        known = [line for line in lines if line in self._ids]
        new = [each for each in self.conversation.planted if each.said in messages[-1].text]
        new = [each for each in new if self._random.random() >= _FORGET]
        wordings = self._wordings(new)
        lists = self._lists(new, wordings, known)
        lists["outdated"] = self._outdated(new, known)
        self.told |= {each.id for each in new}
        return Completion("succeeded", self._dressed(json.dumps(lists)), "end_turn")

    def _wordings(self, new: Iterable[Planted]) -> dict[str, str]:
        """How each new thing is said; plainly where it must be understood without being flagged."""
        ended = {old for each in new for old in each.ends}
        plain = {each.id for each in new if each.ends} | ended
        return {each.id: each.wordings[0] if each.id in plain else self._random.choice(each.wordings) for each in new}

    def _lists(self, new: Sequence[Planted], wordings: dict[str, str], known: Sequence[str]) -> dict[str, list[str]]:
        lists: dict[str, list[str]] = {name: [] for name in LISTS}
        for each in new:
            misfiled = self._random.random() < _MISFILED
            lists[_MISTAKEN_FOR.get(each.list, each.list) if misfiled else each.list].append(wordings[each.id])
            if self._random.random() < _TWICE and not each.ends:
                lists[each.list].append(self._random.choice(each.wordings))
        for key in dict.fromkeys(self._ids[text] for text in known):
            if self._random.random() < _AGAIN:
                lists[self._by_id[key].list].append(self._random.choice(self._by_id[key].wordings))
        for key in sorted(self.over):
            if self._random.random() < _STALE:
                lists[self._by_id[key].list].append(self._random.choice(self._by_id[key].wordings))
        for items in lists.values():
            self._random.shuffle(items)
            if self._random.random() < 0.2:
                items.append(self._random.choice(["None", "", "N/A", "  ", "nothing"]))
            items[:] = [f"- {item}" if self._random.random() < 0.1 else item for item in items]
        return lists

    def _outdated(self, new: Sequence[Planted], known: Sequence[str]) -> list[str]:
        """Copies of what the new things end. What can be seen without them may be left out, and is over all the same;
        what is copied among all the rest is not."""
        copies_all = self._random.random() < _COPY_ALL
        flagged: list[str] = []
        for each in new:
            for key in each.ends:
                held = [text for text in known if self._ids[text] == key]
                plain = self._is_plain(each, self._by_id[key], held)
                if held and not (plain and self._random.random() < _UNTOLD):
                    flagged += map(self._garbled, held)
                if plain or (held and not copies_all):
                    self.over |= {key} & {*self.told, *(one.id for one in new)}
        return list(known) if copies_all else flagged

    def _is_plain(self, new: Planted, old: Planted, held: Sequence[str]) -> bool:
        """Whether both are said in words that tell which one holds."""
        return not new.indirect and old.list != "action_items" and set(held) <= {old.wordings[0]}

    def _garbled(self, text: str) -> str:
        most = " ".join(text.split()[: max(3, len(text.split()) * 3 // 4)])
        return self._random.choice([text, text.lower(), f"- {text}", text.rstrip(".?"), f"{text} (outdated)", most])

    def _dressed(self, text: str) -> str:
        return self._random.choice([text, text, f"```json\n{text}\n```", f"Here is the JSON:\n{text}\nDone."])

    def _broken(self) -> Answer:
        whole = json.dumps({name: ["The moon is made of cheese."] for name in LISTS})
        answers: list[Answer] = [
            "provider_error",
            Completion("succeeded", whole[: self._random.randrange(1, len(whole))], "max_tokens"),
            Completion("succeeded", whole[:-2], "end_turn"),
            Completion("succeeded", "There is nothing to extract.", "end_turn"),
            Completion("succeeded", whole.replace("[", "{").replace("]", "}"), "end_turn"),
            Completion("succeeded", whole.replace('"decisions"', '"Decisions"'), "end_turn"),
        ]
        return self._random.choice(answers)
