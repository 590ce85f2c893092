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
from shared.domain.turn import Fallback, Plan, Reply, ReplyStatus
from shared.llm.port import Message
from shared.llm.structured import schema_of
from shared.orchestration.attempts import Ask, Asker, Attempt
from shared.orchestration.context import build_messages
from shared.orchestration.routing import Decision, RoutingPolicy, build_routing_messages, read_decision


class Council:
    """One turn's council. `plan` and `replies` hold what has been decided and answered so far."""

    def __init__(
        self,
        conversation: Conversation,
        asker: Asker,
        stored_plan: Plan | None = None,
        routing: RoutingPolicy = RoutingPolicy(),  # noqa: B008 a frozen value
    ) -> None:
        self.conversation = conversation
        self.current_plan = stored_plan
        self.replies: list[Reply] = []
        self.fallbacks: list[Fallback] = []
        self._asker = asker
        self._routing = routing
        self._step = 0
        self._budget_spent = False

    def plan(self, plan: Plan) -> Plan:
        """Declare who will be asked, in order, before the first `ask`; a key may come twice. A turn that is resumed
        keeps the plan that it has stored, whatever is declared."""
        self.current_plan = self.current_plan or plan
        return self.current_plan

    def route(self) -> Plan:
        """Ask the routing manager, and declare its plan or the one that stands in for it. A turn that has stored its
        plan asks nobody."""
        ask = Ask(
            step=self._step,
            purpose="routing",
            model_alias=self._routing.model_alias,
            max_output_tokens=self._routing.max_output_tokens,
            temperature=0.0,
            build=self._routing_messages,
            schema=schema_of(Decision),
        )
        attempt = self._asker.stored(ask) if self.current_plan else self._asker.settle(ask)
        routed = read_decision(attempt, self.conversation, self._routing.max_agents, self._step)
        if routed.fallback:
            self.fallbacks.append(routed.fallback)
        self._step += 1
        return self.plan(routed.plan)

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
        if attempt.model_alias != agent.model_alias:
            self.fallbacks.append(Fallback("model_alias", self._first_error(), self._step))
        self._step += 1
        if attempt.verdict == "failed":
            return _without_text(position, agent, "failed", attempt.error or "provider_error")
        return _answer(position, agent, attempt)

    def _ask(self, agent: Agent) -> Ask:
        earlier = tuple(Said(r.agent_key, r.name, r.text or "") for r in self.replies if r.status == "completed")
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

    def _first_error(self) -> str:
        """Why the alias that the agent names did not answer the current step."""
        return self._asker.journal.attempts(self._step)[0].error or "unknown"

    def _routing_messages(self, model: Model) -> tuple[Message, ...]:
        cap = min(self._routing.max_output_tokens, model.max_output_tokens)
        return build_routing_messages(self.conversation, self._routing.max_agents, model, cap)

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
