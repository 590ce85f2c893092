"""The council as a mode sees it: declare a plan, ask its agents one after the other.

What a mode learns is returned to it as frozen values. Journal, price, budget, retry, deadline and resume sit behind
`ask`, so a mode that is run again after a crash gets the same replies for what was answered before.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Literal

from shared.domain.agent import Agent
from shared.domain.conversation import Conversation, Said
from shared.domain.summary import Summary
from shared.domain.turn import Fallback, Plan, Purpose, Reply, Review, Standing
from shared.errors import BudgetExceeded
from shared.llm.port import Completion, Message, Request
from shared.orchestration.attempts import Asker
from shared.orchestration.prompts import Prompts
from shared.orchestration.replies import reply_of, reply_without_text
from shared.orchestration.reviews import assign, longest_answers, standings
from shared.orchestration.routing import RoutingPolicy, build_routing_messages, decision_schema, read_decision
from shared.orchestration.steps import Ask, Attempt, Ended, Refused, answer_of

# A stored plan without a verdict on routing: the budget or the turn's caps refused the manager, and the journal keeps
# no row of a refused call.
_UNWRITTEN = Refused(BudgetExceeded.code)


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
        self.summary: Summary | None = None
        self.reviews: list[Review] = []
        self.standings: list[Standing] = []
        # The position of the reply that concludes the turn. None: all replies do.
        self.conclusion: int | None = None
        # What ended an ask, such as OutOfTime. It passes through the mode, and is not the mode's own exception.
        self.interruption: Exception | None = None
        self.ended = Ended()
        self._asker = asker
        self._prompts = Prompts(conversation)
        self._routing = routing
        # The number of steps behind those of the plan.
        self._behind_plan = 0
        # Why nobody else is asked, once a call was refused.
        self._refusal: Refused | None = None

    def plan(self, plan: Plan) -> Plan:
        """Declare who will be asked, in order, before the first `ask`; a key may come twice. A turn that is resumed
        keeps the plan that it has stored, whatever is declared."""
        if self.current_plan is None and not set(plan.selected_agent_keys) <= set(self.conversation.roster):
            raise AssertionError("A mode planned an agent that is not in the roster.")
        self.current_plan = self.current_plan or plan
        return self.current_plan

    def route(self) -> Plan:
        """Ask the routing manager, and declare its plan or the one that stands in for it. A turn that has stored its
        plan asks nobody."""
        policy, conversation = self._routing, self._with_agents_of_this_catalog()
        step, answer = self.ask_helper(
            "routing",
            policy.model_alias,
            policy.max_output_tokens,
            partial(build_routing_messages, conversation, self._prompts, policy.max_agents),
            decision_schema(conversation, policy.max_agents),
        )
        routed = read_decision(answer, conversation, policy.max_agents, step)
        if routed.fallback:
            self.fallbacks.append(routed.fallback)
        return self.plan(routed.plan)

    def _with_agents_of_this_catalog(self) -> Conversation:
        """The conversation without agents that cannot be asked, if the roster has others."""
        roster = self.conversation.roster
        known = {key: agent for key, agent in roster.items() if agent.model_alias in self._asker.catalog}
        return replace(self.conversation, roster=MappingProxyType(known or dict(roster)))

    def ask_helper(
        self,
        purpose: Purpose,
        model_alias: str,
        max_output_tokens: int,
        build: Callable[[int], tuple[Message, ...]],
        schema: Mapping[str, object] | None = None,
    ) -> tuple[int, Completion | str]:
        """Ask a model on the council's own behalf. Returns the step, and what was answered or why there is no answer.
        If the plan is stored already, routing is over and nobody is asked."""
        model = self._asker.catalog.get(model_alias)
        effort: Literal["low"] | None = "low" if model and model.dialect.thinking else None
        step = 0 if purpose == "routing" else self._take_steps(1)
        ask = Ask(step, purpose, model_alias, max_output_tokens, 0.0, build, schema=schema, effort=effort)
        decided = purpose == "routing" and self.current_plan is not None
        with self._asking():
            attempt = self._asker.stored(step) or _UNWRITTEN if decided else self._asker.settle(ask)
        return step, answer_of(attempt)

    def ask(self, key: str) -> Reply:
        """Ask the next agent of the plan; it sees the completed replies before it. Raises OutOfTime, or what the
        journal raises when this runner must stop."""
        agent, position = self._next(0, key), len(self.replies)
        if self._refused(agent):
            self._conclude(agent, self._asker.stored(self._step_of(position)))
        else:
            self._settle(agent, self._ask(agent, position, self.said()))
        return self.replies[-1]

    def ask_all(self, keys: Sequence[str]) -> Sequence[Reply]:
        """Ask the next agents of the plan: one after the other, or at the same time where the session's fan-out is
        parallel, and then none sees the others. Raises what `ask` raises."""
        return self.ask_together(keys) if self.conversation.parallel else [self.ask(key) for key in keys]

    def ask_together(self, keys: Sequence[str], chair: str | None = None) -> Sequence[Reply]:
        """Ask the next agents of the plan at the same time. None sees the others. With them, the money is held for the
        `chair`, who is to conclude. Raises what `ask` raises."""
        first = len(self.replies)
        agents = [self._next(offset, key) for offset, key in enumerate(keys)]
        answers = () if chair is None else longest_answers(agents, self._asker.catalog)
        held_for = None if chair is None else self._held_for(chair, first + len(keys), answers)
        asks = {
            position: replace(self._ask(agent, position, ()), held_for=held_for, continues=chair is None)
            for position, agent in enumerate(agents, first)
            if not self._refused(agent)
        }
        with self._asking():
            settled = dict(zip(asks, self._asker.settle_all(list(asks.values())), strict=True))
        for position, agent in enumerate(agents, first):
            self._conclude(
                agent, settled[position] if position in settled else self._asker.stored(self._step_of(position))
            )
        return self.replies[first:]

    def rank(self, chair: str) -> None:
        """Let each agent that answered rank the others' answers, without their names. With fewer than three answers
        nobody ranks. The turn's caps leave room for the `chair`. Raises what `ask` raises."""
        first = self._take_steps(len(self.replies))
        catalog, roster = self._asker.catalog, self.conversation.roster
        models = [catalog[agent.model_alias] for agent in roster.values() if agent.model_alias in catalog]
        papers = assign(self._asker.turn_id, self.conversation, self.said(), models)
        held_for = self._held_for(chair, len(self.replies), self.said())
        asks = [
            replace(papers[key].ask(first + position, roster[key], catalog, self.current_plan), held_for=held_for)
            for position, key in enumerate(reply.agent_key for reply in self.replies)
            if key in papers and roster[key].model_alias in catalog
        ]
        with self._asking():
            settled = self._asker.settle_all(asks)
        for ask, attempt in zip(asks, settled, strict=True):
            assert ask.agent is not None
            read = papers[ask.agent.key].read(answer_of(attempt), ask.agent.key, ask.step)
            if isinstance(read, Review):
                self.reviews.append(read)
            else:
                self.fallbacks.append(read)
        self.standings = standings(self.reviews, list(roster))

    def close(self, chair: str) -> Reply:
        """Ask the chair, the last of the plan, to conclude from all answers. If it fails, the best-ranked answer is the
        turn's output. Raises what `ask` raises."""
        agent, position, answers = self._next(0, chair), len(self.replies), self.said()
        if not answers:
            self.replies.append(reply_without_text(position, agent, "skipped", "no_answers"))
            return self.replies[-1]
        if agent.model_alias in self._asker.catalog:
            self._settle(agent, self._chair_ask(agent, position, answers))
        else:
            # Another catalog had the alias when the turn was accepted.
            self._conclude(agent, self._asker.stored(self._step_of(position)))
        reply = self.replies[-1]
        if reply.status == "completed":
            self.conclusion = position
        else:
            assert reply.error is not None
            self.fallbacks.append(Fallback("chair", reply.error.code, self._step_of(position)))
            best = self.standings[0].agent_key if self.standings else answers[0].agent_key
            self.conclusion = next(each.position for each in self.replies if each.agent_key == best)
        return reply

    def first_calls(self) -> list[tuple[Ask, Request]]:
        """The call of each agent of the roster, as the first of the turn."""
        agents = [agent for agent in self.conversation.roster.values() if agent.model_alias in self._asker.catalog]
        return [self._asker.first_call(self._ask(agent, 0, ())) for agent in agents]

    def conclude(self, code: str) -> None:
        """Make the plan's remaining replies without asking anybody: what the journal has a verdict for, and `skipped`
        with this code for the rest."""
        plan = self.current_plan
        if plan is None:
            return
        for position in range(len(self.replies), len(plan.selected_agent_keys)):
            agent = self.conversation.roster[plan.selected_agent_keys[position]]
            attempt = self._asker.stored(self._step_of(position))
            if attempt is None:
                self.replies.append(reply_without_text(position, agent, "skipped", code))
            else:
                self._conclude(agent, attempt)

    def said(self) -> tuple[Said, ...]:
        """The completed replies so far."""
        return tuple(Said(r.agent_key, r.name, r.text or "") for r in self.replies if r.status == "completed")

    def heard(self) -> tuple[Said, ...]:
        """The replies that later turns see."""
        if self.conclusion is None:
            return self.said()
        reply = self.replies[self.conclusion]
        return (Said(reply.agent_key, reply.name, reply.text or ""),)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.interruption = error
            raise

    def _step_of(self, position: int) -> int:
        """The step of an entry of the plan."""
        return position + (self.current_plan.first_step if self.current_plan else 0)

    def _take_steps(self, count: int) -> int:
        """Take steps behind those of the plan, and return the first of them."""
        planned = len(self.current_plan.selected_agent_keys) if self.current_plan else 0
        first = self._step_of(planned) + self._behind_plan
        self._behind_plan += count
        return first

    def _settle(self, agent: Agent, ask: Ask) -> None:
        with self._asking():
            attempt = self._asker.settle(ask)
        self._conclude(agent, attempt)

    def _next(self, offset: int, key: str) -> Agent:
        position = len(self.replies) + offset
        if self.current_plan is None or self.current_plan.selected_agent_keys[position : position + 1] != (key,):
            raise AssertionError(f"A mode asked '{key}' at position {position}, and its plan says otherwise.")
        return self.conversation.roster[key]

    def _refused(self, agent: Agent) -> bool:
        """Whether there is no sense in asking: a call was refused already, or nobody answers to the agent's alias. What
        an earlier runner was answered counts all the same: somebody pays for it."""
        return self._refusal is not None or agent.model_alias not in self._asker.catalog

    def _conclude(self, agent: Agent, attempt: Attempt | Refused | None) -> None:
        """Make the next reply of what came of a step. None: nobody was asked."""
        position = len(self.replies)
        step = self._step_of(position)
        if isinstance(attempt, Refused):
            self._refusal = self._refusal or attempt
        if isinstance(attempt, Attempt):
            if attempt.model_alias != agent.model_alias:
                self.fallbacks.append(Fallback("model_alias", self._first_error(step), step))
            self.replies.append(reply_of(position, agent, attempt))
        elif self._refusal is not None and agent.model_alias in self._asker.catalog:
            self.replies.append(reply_without_text(position, agent, "skipped", self._refusal.code))
        else:
            self.replies.append(reply_without_text(position, agent, "skipped", "unknown_model_alias"))

    def _ask(self, agent: Agent, position: int, earlier: Sequence[Said]) -> Ask:
        options = self.conversation.options
        return Ask(
            step=self._step_of(position),
            purpose="agent",
            model_alias=agent.model_alias,
            max_output_tokens=min(agent.max_output_tokens, options.max_output_tokens or agent.max_output_tokens),
            temperature=options.temperature if agent.temperature is None else agent.temperature,
            build=partial(self._prompts.for_agent, agent, earlier),
            plan=self.current_plan,
            agent=agent,
            position=position,
            # Helpers read everything in one message, which the next prompt does not repeat.
            continues=True,
        )

    def _held_for(self, chair: str, position: int, answers: Sequence[Said]) -> Ask | None:
        """The chair's ask, if the catalog has its alias."""
        agent = self.conversation.roster[chair]
        return self._chair_ask(agent, position, answers) if agent.model_alias in self._asker.catalog else None

    def _chair_ask(self, agent: Agent, position: int, answers: Sequence[Said]) -> Ask:
        build = partial(self._prompts.for_chair, agent, answers, self.standings)
        return replace(self._ask(agent, position, ()), build=build, continues=False, uses_hold=True)

    def _first_error(self, step: int) -> str:
        """Why the alias that the agent names did not answer."""
        return self._asker.journal.attempts(step)[0].error or "unknown"
