"""The chat model of a graph's nodes: each of its calls asks an agent of the session's council."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import Any, Final

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from shared.domain.conversation import Spoken
from shared.domain.turn import Reply
from shared.orchestration.growing_council import GrowingCouncil

# Branches run in threads of LangGraph's own, which copy the context.
_council: Final = ContextVar[GrowingCouncil]("council")
# A node with threads of its own asks one after the other, too.
_asking: Final = Lock()


class CouncilModel(BaseChatModel):
    """Asks the agent with this key. The call is journaled, held against the budget, and paid as in any other mode."""

    agent_key: str

    @property
    def _llm_type(self) -> str:
        return "pantheon"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 the library's signature
        **kwargs: Any,
    ) -> ChatResult:
        if stop or kwargs:
            raise ValueError(f"An agent of the council takes no {', '.join(['stop'] * bool(stop) + sorted(kwargs))}.")
        if all(isinstance(message, SystemMessage) for message in messages):
            raise ValueError("An agent of the council needs a message beside the system's.")
        council = _council.get()
        with _asking:
            reply = council.ask_next(self.agent_key, [_spoken(message) for message in messages])
            answer = _answer(reply, council)
        return ChatResult(generations=[ChatGeneration(message=answer)])


def chat_model(agent_key: str) -> CouncilModel:
    """The chat model that asks an agent of the session's roster. It can be made when a graph's module is imported."""
    # An answer from a cache would be no call of the journal.
    return CouncilModel(agent_key=agent_key, cache=False)


def agent_keys() -> Sequence[str]:
    """The keys of the session's enabled agents, in its order. Call it in a node."""
    return tuple(_council.get().conversation.roster)


@contextmanager
def seated(council: GrowingCouncil) -> Iterator[None]:
    """Chat models ask this council within the block."""
    token = _council.set(council)
    try:
        yield
    finally:
        _council.reset(token)


def _answer(reply: Reply, council: GrowingCouncil) -> AIMessage:
    """The reply as a message that knows its agent. Its id is the same whenever the turn is run again."""
    usage = reply.usage
    read = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    return AIMessage(
        reply.text or "",
        name=reply.agent_key,
        id=f"{council.turn_id}:{reply.position}",
        usage_metadata={
            "input_tokens": read,
            "output_tokens": usage.output_tokens,
            "total_tokens": read + usage.output_tokens,
        },
    )


def _spoken(message: BaseMessage) -> Spoken:
    """A message as the council knows it. Only its text is sent."""
    text = message.text
    match message:
        case SystemMessage():
            return Spoken("system", text)
        case AIMessage():
            return Spoken("assistant", text, message.name or "")
        case ToolMessage():
            return Spoken("tool", text)
        case HumanMessage() | ChatMessage():
            return Spoken("user", text)
    raise ValueError(f"An agent of the council cannot be told a {type(message).__name__}.")
