"""What one call sees: role prompt, as much history as fits, the message, and the replies before it in this turn.

The room is the alias's window less the output cap, per agent, with the role prompt counted. What the call is about
(role prompt, message, this turn's replies) is always sent; history gives way, oldest turns first.
"""

from collections.abc import Sequence
from functools import cached_property
from itertools import chain

from shared.domain.agent import Agent
from shared.domain.conversation import Conversation, PastTurn, Said
from shared.domain.summary import by_list
from shared.llm.port import Message
from shared.llm.tokens import estimate_tokens


class Context:
    """What the calls of one turn see of its conversation. The past is rendered once for all of them."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation

    def for_agent(self, agent: Agent, earlier: Sequence[Said], room: int) -> tuple[Message, ...]:
        """The messages of one agent's call, system first, then user and assistant by turns. `room` is in estimated
        tokens."""
        role = f"You are {agent.name}, one of several agents in a council.\n\n{agent.role_prompt}"
        system = Message("system", role + _memory(self._conversation))
        return self.fitted(system, Message("user", _question(self._conversation.message, earlier)), room)

    def fitted(self, system: Message, question: Message, room: int) -> tuple[Message, ...]:
        """`system`, as many of the newest turns as there is room for, and `question`."""
        room -= estimate_tokens((system, question))
        fitting: list[tuple[Message, Message]] = []
        for tokens, exchange in self._newest_first:
            room -= tokens
            if room < 0:
                break
            fitting.append(exchange)
        return (system, *chain.from_iterable(reversed(fitting)), question)

    @cached_property
    def _newest_first(self) -> list[tuple[int, tuple[Message, Message]]]:
        """The past turns, each with its estimated tokens."""
        exchanges = map(_exchange, reversed(self._conversation.unsummarised()))
        return [(estimate_tokens(exchange), exchange) for exchange in exchanges]


def _memory(conversation: Conversation) -> str:
    """What the newest summary says, its structure included."""
    summary = conversation.summary
    if summary is None:
        return ""
    lists = [
        f"{name.replace('_', ' ').capitalize()}:\n" + "\n".join(f"- {item}" for item in items)
        for name, items in by_list(summary.items).items()
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
    return "\n\n".join([f"{said.name}: {said.text}" for said in replies])
