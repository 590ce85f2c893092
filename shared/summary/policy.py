"""Decide when a summary is due, and within which caps."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.conversation import Conversation, PastTurn, Said
from shared.domain.quotation import quote_agent, quote_user
from shared.llm.port import Message
from shared.llm.tokens import estimate_text
from shared.summary.merge import Limits


@dataclass(frozen=True, slots=True)
class SummaryPolicy:
    """A summary is due `after_turns` turns, or about `after_tokens` tokens, after the last one.

    `max_output_tokens` caps each of its two calls, `limits` its content.
    """

    max_output_tokens: int = 512
    after_turns: int = 12
    after_tokens: int = 4000
    limits: Limits = Limits()  # noqa: RUF009 a frozen value

    def due(self, unsummarised: Sequence[PastTurn]) -> bool:
        """Whether the turns since the last summary, including the ending one, need a new one."""
        if len(unsummarised) >= self.after_turns:
            return True
        return sum([estimate_text(_spoken(turn)) for turn in unsummarised]) >= self.after_tokens


def unsummarised(conversation: Conversation, turn_index: int, replies: Sequence[Said]) -> tuple[PastTurn, ...]:
    """Return the turns without a summary, with the ending one as the last."""
    return (*conversation.unsummarised(), PastTurn(conversation.message, tuple(replies), turn_index))


def transcript(turns: Sequence[PastTurn]) -> tuple[Message, ...]:
    """Return the turns as the summariser reads them: one message each, oldest first."""
    return tuple(Message("user", _spoken(turn)) for turn in turns)


def _spoken(turn: PastTurn) -> str:
    said = [quote_user(turn.message), *[quote_agent(said.name, said.text) for said in turn.replies]]
    return "\n".join([quotation.element for quotation in said])
