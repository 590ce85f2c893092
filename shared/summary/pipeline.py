"""Writing a summary in two stages: first the text, then, from the text and the turns, the structure.

The rule this file protects: a summary never fails a turn. Where a stage brings nothing usable, the text goes on with
an excerpt of the turns, and the structure stays as it was; either is a fallback that the turn reports.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final, Protocol

from pydantic import BaseModel, ConfigDict, Field

from shared.domain.conversation import Conversation, PastTurn, Said
from shared.domain.summary import LISTS, Structure, Summary
from shared.domain.turn import Fallback, Purpose
from shared.llm.port import Completion, Message
from shared.llm.schema import schema_of
from shared.llm.structured import parse
from shared.llm.tokens import estimate_tokens
from shared.summary.merge import merge
from shared.summary.policy import SummaryPolicy, transcript, unsummarised

TEXT: Final = "summary_text"
STRUCTURE: Final = "summary_structure"
# What the text falls back to keeps so many characters of each turn, and so many in all.
_EXCERPT, _LONGEST_EXCERPT = 200, 4000
MAX_ITEM_CHARACTERS = 500
_BULLET = re.compile(r"[-*•–]\s+|\(?\d{1,2}\)\s+")

_WRITE = """\
You keep the memory of a conversation between a user and a council of agents. Write one summary that replaces the one \
before it: who wants what and why, what was found out, what was decided, what is still open. Keep names, numbers and \
dates as they were said. Leave out small talk. Plain sentences, no headings."""

_EXTRACT = """\
You extract what must not be forgotten from a conversation. Answer with one JSON object and nothing else:
{"key_facts": [...], "decisions": [...], "open_questions": [...], "action_items": [...], "outdated": [...]}
Each list holds short sentences that can be understood alone. Put in only what is new in these turns. Under outdated, \
copy those of the known items that the new turns contradict, finish or answer."""

Item = Annotated[str, Field(max_length=20_000)]


class Extracted(BaseModel):
    """What stage two answers. The four lists must be there; a model that knows nothing of outdated items may leave
    that list out."""

    model_config = ConfigDict(strict=True, extra="ignore")

    key_facts: list[Item]
    decisions: list[Item]
    open_questions: list[Item]
    action_items: list[Item]
    outdated: list[Item] = Field(default_factory=list)

    def structure(self) -> Structure:
        return Structure(**{name: tuple(_short(item) for item in getattr(self, name)) for name in LISTS})


class AskHelper(Protocol):
    """Asks a model for a turn, journaled. Returns what it answered, or the reason why there is no answer."""

    def __call__(
        self,
        purpose: Purpose,
        build: Callable[[int], tuple[Message, ...]],
        schema: Mapping[str, object] | None = None,
    ) -> tuple[int, Completion | str]: ...


@dataclass(frozen=True, slots=True)
class Summarised:
    summary: Summary
    fallbacks: tuple[Fallback, ...] = field(default=())


def summarise(
    conversation: Conversation, turn_index: int, replies: Sequence[Said], policy: SummaryPolicy, ask: AskHelper
) -> Summarised | None:
    """The summary that is due with the end of this turn, or None."""
    turns = unsummarised(conversation, turn_index, replies)
    if not policy.due(turns):
        return None
    previous = conversation.summary or Summary(0, "", Structure())
    text, text_fallback = _write(previous, turns, policy, ask)
    extracted, structure_fallback = _extract(previous, turns, ask)
    said = "\n".join(message.text for message in transcript(turns))
    merged = merge(previous, extracted.structure(), extracted.outdated, said, policy.limits)
    fallbacks = tuple(fallback for fallback in (text_fallback, structure_fallback) if fallback)
    return Summarised(Summary(turn_index, text, merged.structure, merged.archived), fallbacks)


def _write(
    previous: Summary, turns: Sequence[PastTurn], policy: SummaryPolicy, ask: AskHelper
) -> tuple[str, Fallback | None]:
    def build(room: int) -> tuple[Message, ...]:
        known = f"The summary so far:\n{previous.text}" if previous.text else "There is no summary yet."
        return _fit(Message("system", f"{_WRITE}\n\n{known}"), turns, room)

    step, answer = ask(TEXT, build)
    if isinstance(answer, str):
        return _excerpt(previous, turns, policy), Fallback(TEXT, answer, step)
    if answer.stop_reason == "max_tokens":
        return _excerpt(previous, turns, policy), Fallback(TEXT, "max_tokens", step)
    return answer.text.strip()[: policy.limits.characters], None


def _extract(previous: Summary, turns: Sequence[PastTurn], ask: AskHelper) -> tuple[Extracted, Fallback | None]:
    nothing = Extracted(key_facts=[], decisions=[], open_questions=[], action_items=[])

    def build(room: int) -> tuple[Message, ...]:
        known = "\n".join(f"- {item}" for name in LISTS for item in getattr(previous.structure, name))
        system = f"{_EXTRACT}\n\nKnown items:\n{known or '(none)'}"
        return _fit(Message("system", system), turns, room)

    step, answer = ask(STRUCTURE, build, schema_of(Extracted))
    if isinstance(answer, str):
        return nothing, Fallback(STRUCTURE, answer, step)
    extracted = parse(Extracted, answer, STRUCTURE, step)
    return (nothing, extracted) if isinstance(extracted, Fallback) else (extracted, None)


def _fit(system: Message, turns: Sequence[PastTurn], room: int) -> tuple[Message, ...]:
    """The newest turns that there is room for, as one message; the ending one always."""
    room -= estimate_tokens((system,))
    said: list[str] = []
    for message in reversed(transcript(turns)):
        room -= estimate_tokens((message,))
        if room < 0 and said:
            break
        said.insert(0, message.text)
    return system, Message("user", "The turns:\n\n" + "\n\n".join(said))


def _excerpt(previous: Summary, turns: Sequence[PastTurn], policy: SummaryPolicy) -> str:
    """The old text, and the beginning of what was said since, as much as there is room for."""
    said = [" ".join(message.text.split())[:_EXCERPT] for message in transcript(turns)]
    text = "\n".join([*([previous.text] if previous.text else []), *said])
    return text[-min(_LONGEST_EXCERPT, policy.limits.characters) :]


def _short(item: str) -> str:
    """An item on one line, without the bullet that a model put before it."""
    return " ".join(_BULLET.sub("", item.strip(), count=1).split())[:MAX_ITEM_CHARACTERS]
