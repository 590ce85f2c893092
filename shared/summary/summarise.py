"""Write a summary in two stages: first the text, then the changes to the items.

A summary never fails a turn. Without a usable text, it takes an excerpt of the turns. Without usable changes, the items
stay as they were. The turn reports either as a fallback.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from shared.domain.conversation import Conversation, PastTurn, Said
from shared.domain.quotation import MATERIAL, quote_lines, quote_part
from shared.domain.summary import Summary
from shared.domain.turn import Fallback, Purpose
from shared.llm.port import Completion, Message
from shared.llm.schema import schema_of
from shared.llm.structured import parse
from shared.llm.tokens import estimate_tokens
from shared.summary.answer import NO_CHANGES, Changes
from shared.summary.merge import Merged, merge
from shared.summary.policy import SummaryPolicy, transcript, unsummarised

TEXT: Final = "summary_text"
STRUCTURE: Final = "summary_structure"
# Characters of each turn, and of all turns, in the excerpt that replaces a missing text.
_EXCERPT, _LONGEST_EXCERPT = 200, 4000

_WRITE = f"""\
You keep the memory of a conversation between a user and a council of agents. Write one summary that replaces the one \
before it: who wants what and why, what was found out, what was decided, what is still open. Keep names, numbers and \
dates as they were said. Leave out small talk. Plain sentences, no headings, none of the marks.

{MATERIAL}"""

_EXTRACT = (
    """\
You extract what must not be forgotten from a conversation. Answer with one JSON object and nothing else:
{"add": {"key_facts": ["..."], "decisions": [], "open_questions": [], "action_items": []},
"replace": [{"id": "F1", "text": "..."}], "close": [{"id": "Q2", "reason": "answered", "of": null}]}
add: what these turns say and no known item says, in short sentences that can be understood alone, in the language of \
the turns. Leave a list empty if there is nothing new for it.
replace: a known item whose value these turns change, with the whole new sentence.
close: a known item that these turns end. The reason is "answered", "done", "outdated", or "duplicate". For a \
duplicate, "of" is the id of the other item that says the same; otherwise it is null.
A known item that you do not name stays as it is. Items about different things are no duplicates, even if they have \
most words in common.

"""
    + MATERIAL
)


class AskHelper(Protocol):
    """Asks a model for a turn, journaled. Returns the step, and the answer or the code of why there is none."""

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
    """Return the summary that is due at the end of this turn, or None."""
    turns = unsummarised(conversation, turn_index, replies)
    if not policy.due(turns):
        return None
    previous = conversation.summary or Summary(0, "")
    text, text_fallbacks = _write(previous, turns, policy, ask)
    merged, structure_fallbacks = _extract(previous, turns, turn_index, policy, ask)
    summary = Summary(turn_index, text, merged.items, merged.last_numbers, merged.archive)
    return Summarised(summary, text_fallbacks + structure_fallbacks)


def _write(
    previous: Summary, turns: Sequence[PastTurn], policy: SummaryPolicy, ask: AskHelper
) -> tuple[str, tuple[Fallback, ...]]:
    def build(room: int) -> tuple[Message, ...]:
        known = quote_part("summary", previous.text).element if previous.text else "There is no summary yet."
        return _fit(Message("system", _WRITE), known, turns, room)

    step, answer = ask(TEXT, build)
    if isinstance(answer, str):
        return _excerpt(previous, turns, policy), (Fallback(TEXT, answer, step),)
    if answer.stop_reason == "max_tokens":
        return _excerpt(previous, turns, policy), (Fallback(TEXT, "max_tokens", step),)
    return answer.text.strip()[: policy.limits.characters], ()


def _extract(
    previous: Summary, turns: Sequence[PastTurn], turn_index: int, policy: SummaryPolicy, ask: AskHelper
) -> tuple[Merged, tuple[Fallback, ...]]:
    def build(room: int) -> tuple[Message, ...]:
        items = [f"[{item.id}] {item.text}" for item in previous.items]
        known = quote_lines("known_items", items).element if items else "There are no known items yet."
        return _fit(Message("system", _EXTRACT), known, turns, room)

    step, answer = ask(STRUCTURE, build, schema_of(Changes))
    if isinstance(answer, str):
        return merge(previous, NO_CHANGES, turn_index, policy.limits), (Fallback(STRUCTURE, answer, step),)
    changes, fallbacks = parse(Changes, answer, STRUCTURE, step)
    merged = merge(previous, changes or NO_CHANGES, turn_index, policy.limits)
    return merged, (*fallbacks, *[Fallback(STRUCTURE, reason, step) for reason in merged.ignored])


def _fit(system: Message, known: str, turns: Sequence[PastTurn], room: int) -> tuple[Message, ...]:
    """Put the known text or items and the newest turns that fit into one message. The ending turn is always
    included."""
    room -= estimate_tokens((system, Message("user", known)))
    said: list[str] = []
    for message in reversed(transcript(turns)):
        room -= estimate_tokens((message,))
        if room < 0 and said:
            break
        said.append(message.text)
    return system, Message("user", "\n\n".join([known, "The turns:", *reversed(said)]))


def _excerpt(previous: Summary, turns: Sequence[PastTurn], policy: SummaryPolicy) -> str:
    """Return the end of the old text and the beginnings of the turns, within the limits."""
    text = "\n".join([*([previous.text] if previous.text else []), *[_beginning(turn) for turn in turns]])
    return text[-min(_LONGEST_EXCERPT, policy.limits.characters) :]


def _beginning(turn: PastTurn) -> str:
    """Return the beginning of a turn, one line for each speaker, so that no text can fake another's line."""
    spoken = [("User", turn.message), *[(said.name, said.text) for said in turn.replies]]
    return "\n".join([" ".join(f"{name}: {text}".split()) for name, text in spoken])[:_EXCERPT]
