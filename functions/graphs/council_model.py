"""The chat model for the nodes of a graph. Each call asks an agent of the session."""

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

# Branches run in LangGraph's threads, which copy the context.
_council: Final = ContextVar[GrowingCouncil]("council")
# Asks from a node's own threads also run one after the other.
_asking: Final = Lock()


class CouncilModel(BaseChatModel):
    """Asks the agent `agent_key`. The call is journaled, reserved and charged as in any other mode."""

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
    """Return the chat model that asks an agent of the session's roster. A graph's module may call it at import."""
    # An answer from a cache would bypass the journal.
    return CouncilModel(agent_key=agent_key, cache=False)


def agent_keys() -> Sequence[str]:
    """Return the keys of the session's enabled agents in roster order. Call it in a node."""
    return tuple(_council.get().conversation.roster)


@contextmanager
def seated(council: GrowingCouncil) -> Iterator[None]:
    """Let chat models ask this council within the block."""
    token = _council.set(council)
    try:
        yield
    finally:
        _council.reset(token)


def _answer(reply: Reply, council: GrowingCouncil) -> AIMessage:
    """Return the reply as a message with its agent's name. A rerun gives it the same id."""
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
    """Return a message in the council's form. Only its text is sent."""
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
