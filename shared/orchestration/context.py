"""What one call sees: role prompt, as much history as fits, the message, and the replies before it in this turn.

The room is the alias's window less the output cap, per agent, with the role prompt counted. What the call is about
(role prompt, message, this turn's replies) is always sent; history gives way, oldest turns first.
"""

from collections.abc import Sequence

from shared.domain.agent import Agent
from shared.domain.conversation import Conversation, PastTurn, Said
from shared.llm.port import Message
from shared.llm.tokens import estimate_tokens


def build_messages(conversation: Conversation, agent: Agent, earlier: Sequence[Said], room: int) -> tuple[Message, ...]:
    """The messages of one agent's call, system first, then user and assistant by turns. `room` is in estimated
    tokens."""
    role = f"You are {agent.name}, one of several agents in a council.\n\n{agent.role_prompt}"
    system = Message("system", role + _memory(conversation))
    question = Message("user", _question(conversation.message, earlier))
    return fit_history(conversation, system, question, room)


def fit_history(conversation: Conversation, system: Message, question: Message, room: int) -> tuple[Message, ...]:
    """`system`, as many of the newest turns as there is room for, and `question`."""
    room -= estimate_tokens((system, question))
    past: list[Message] = []
    for turn in reversed(conversation.unsummarised()):
        exchange = _exchange(turn)
        room -= estimate_tokens(exchange)
        if room < 0:
            break
        past[:0] = exchange
    return (system, *past, question)


def _memory(conversation: Conversation) -> str:
    """What the newest summary says, its structure included."""
    summary = conversation.summary
    if summary is None:
        return ""
    lists = [
        f"{name.replace('_', ' ').capitalize()}:\n" + "\n".join(f"- {item}" for item in items)
        for name, items in summary.structure.as_dict().items()
        if items
    ]
    return "\n\n".join(["", f"What was said before, in short:\n{summary.text}", *lists])


def _question(message: str, earlier: Sequence[Said]) -> str:
    if not earlier:
        return message
    return f"{message}\n\nOther agents have answered this already:\n\n{_spoken(earlier)}"


def _exchange(turn: PastTurn) -> tuple[Message, Message]:
    return Message("user", turn.message), Message("assistant", _spoken(turn.replies) or "(nobody answered)")


def _spoken(replies: Sequence[Said]) -> str:
    return "\n\n".join(f"{said.name}: {said.text}" for said in replies)
