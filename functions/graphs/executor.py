"""Run a turn through a compiled graph, from the stored state to the answer and the next state."""

from collections.abc import Sequence
from typing import Any, TypeAlias

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph.state import CompiledStateGraph

from functions.graphs.checkpoints import SERDE, Checkpoints, StateInvalid, config_of
from functions.graphs.council_model import seated
from shared.domain.turn import Plan
from shared.errors import JournalUnavailable
from shared.orchestration.growing_council import AskFailed, GrowingCouncil, TurnLeft

Compiled: TypeAlias = CompiledStateGraph[Any, Any, Any, Any]


class _Saver(InMemorySaver):
    """Holds the state while the graph runs. LangGraph writes it once, at the graph's end."""

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        try:
            return super().put(config, checkpoint, metadata, new_versions)
        except Exception as error:
            raise StateInvalid(str(error)) from error


def run_graph(graph: Compiled, checkpoints: Checkpoints, council: GrowingCouncil) -> None:
    """Run the turn of `council`.

    Raises the graph's exception, Diverged, StateInvalid, or the interruption of an ask. If the graph does not catch a
    failed ask, the turn ends with the ask's code."""
    saver = _Saver(serde=SERDE)
    try:
        checkpoints.prime(saver, council.thread)
    except JournalUnavailable as unavailable:
        council.interruption = unavailable
        raise
    council.current_plan = council.current_plan or Plan((), "graph")
    error, result = _invoke(graph.copy(update={"checkpointer": saver}), council)
    council.finish()
    if isinstance(error, AskFailed):
        council.ended.failure = error.code
        return
    if error is None:
        error = _conclude(result, council, checkpoints, saver)
    if isinstance(error, StateInvalid):
        council.ended.failure = error.code
    if error is not None:
        raise error


def _invoke(graph: Compiled, council: GrowingCouncil) -> tuple[Exception | None, dict[str, Any]]:
    """Run the graph. Return its exception, or its state."""
    asked = HumanMessage(council.conversation.message, id=f"{council.turn_id}:message")
    # Branches run one after the other, so that a rerun has the same order of asks.
    config: RunnableConfig = {**config_of(council.thread), "max_concurrency": 1}
    try:
        with seated(council):
            return None, graph.invoke({"messages": [asked]}, config, durability="exit")
    except TurnLeft:
        return None, {}
    except Exception as error:  # noqa: BLE001 any exception of the graph ends the turn
        return error, {}


def _conclude(
    result: dict[str, Any], council: GrowingCouncil, checkpoints: Checkpoints, saver: InMemorySaver
) -> Exception | None:
    """Note the graph's answer and keep its state. Return the error that makes the turn fail, or None."""
    if "__interrupt__" in result:
        return NotImplementedError("The graph waits for input. A turn cannot be continued by another one.")
    try:
        checkpoints.keep(saver, council.thread, council.ended)
    except StateInvalid as error:
        return error
    text = _last_words(result["messages"])
    completed = [reply for reply in council.replies if reply.status == "completed"]
    same = [reply.position for reply in completed if reply.text == text]
    council.conclusion = same[-1] if same else completed[-1].position if completed else None
    council.ended.answer = None if same or not text.strip() else text
    return None


def _last_words(messages: Sequence[BaseMessage]) -> str:
    """Return the storable text of the last AI message, '' without one."""
    text = next((str(message.text) for message in reversed(messages) if isinstance(message, AIMessage)), "")
    return text.replace("\x00", "\ufffd").encode(errors="replace").decode()
