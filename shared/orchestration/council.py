"""The council as a mode sees it: declare a plan, ask its agents one after the other.

What a mode learns is returned to it as frozen values. Journal, price, budget, retry, deadline and resume sit behind
`ask`, so a mode that is run again after a crash gets the same replies for what was answered before.
"""

from collections.abc import Sequence
from functools import partial

from shared.catalog import Model
from shared.domain.agent import Agent
from shared.domain.conversation import Conversation, Said
from shared.domain.problem import problem
from shared.domain.turn import Plan, Reply, ReplyStatus
from shared.llm.port import Message
from shared.orchestration.attempts import Ask, Asker, Attempt
from shared.orchestration.context import build_messages


class Council:
    """One turn's council. `plan` and `replies` hold what has been decided and answered so far."""

    def __init__(self, conversation: Conversation, asker: Asker, stored_plan: Plan | None = None) -> None:
        self.conversation = conversation
        self.current_plan = stored_plan
        self.replies: list[Reply] = []
        self._asker = asker
        self._step = 0
        self._budget_spent = False

    def plan(self, plan: Plan) -> Plan:
        """Declare who will be asked, in order, before the first `ask`; a key may come twice. A turn that is resumed
        keeps the plan that it has stored, whatever is declared."""
        self.current_plan = self.current_plan or plan
        return self.current_plan

    def ask(self, key: str) -> Reply:
        """Ask the next agent of the plan; it sees the completed replies before it. Raises OutOfTime, or what the
        journal raises when this runner must stop."""
        position = len(self.replies)
        if self.current_plan is None or self.current_plan.selected_agent_keys[position : position + 1] != (key,):
            raise AssertionError(f"A mode asked '{key}' at position {position}, and its plan says otherwise.")
        reply = self._reply(position, self.conversation.roster[key])
        self.replies.append(reply)
        return reply

    def _reply(self, position: int, agent: Agent) -> Reply:
        if agent.model_alias not in self._asker.catalog:
            self._step += 1
            return _without_text(position, agent, "failed", "unknown_model_alias")
        attempt = None if self._budget_spent else self._asker.settle(self._ask(agent))
        if attempt is None:
            self._budget_spent = True
            return _without_text(position, agent, "skipped", "budget_exceeded")
        self._step += 1
        if attempt.verdict == "failed":
            return _without_text(position, agent, "failed", attempt.error or "provider_error")
        return _answer(position, agent, attempt)

    def _ask(self, agent: Agent) -> Ask:
        earlier = tuple(Said(r.name, r.text or "") for r in self.replies if r.status == "completed")
        return Ask(
            step=self._step,
            purpose="agent",
            model_alias=agent.model_alias,
            max_output_tokens=agent.max_output_tokens,
            temperature=agent.temperature,
            build=partial(self._messages, agent, earlier),
            plan=self.current_plan,
            agent=agent,
        )

    def _messages(self, agent: Agent, earlier: Sequence[Said], model: Model) -> tuple[Message, ...]:
        cap = min(agent.max_output_tokens, model.max_output_tokens)
        return build_messages(self.conversation, agent, earlier, model, cap)


def _answer(position: int, agent: Agent, attempt: Attempt) -> Reply:
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


def _without_text(position: int, agent: Agent, status: ReplyStatus, code: str) -> Reply:
    return Reply(
        position=position,
        agent_key=agent.key,
        agent_version=agent.version,
        name=agent.name,
        status=status,
        error=problem(code),
    )
