"""Make replies from the results of a plan's steps."""

from shared.domain.agent import Agent
from shared.domain.problem import problem
from shared.domain.turn import Reply, ReplyStatus
from shared.orchestration.steps import Attempt


def reply_of(position: int, agent: Agent, attempt: Attempt) -> Reply:
    if attempt.verdict == "failed":
        return reply_without_text(position, agent, "failed", attempt.error or "provider_error")
    return Reply(
        position=position,
        agent_key=agent.key,
        agent_version=agent.version,
        name=agent.name,
        status="completed",
        text=attempt.completion.text,
        stop_reason=attempt.completion.stop_reason,
        model_alias=attempt.model_alias,
        usage=attempt.completion.usage,
        cost_usd=attempt.cost_usd,
    )


def reply_without_text(position: int, agent: Agent, status: ReplyStatus, code: str) -> Reply:
    """Make a reply without an answer. `code` is the error's."""
    return Reply(
        position=position,
        agent_key=agent.key,
        agent_version=agent.version,
        name=agent.name,
        status=status,
        error=problem(code),
    )
