"""A council whose plan grows: each ask appends its agent, in the commit of the ask's first intent.

The mode chooses each next agent and the messages that it sees. A resumed turn runs the mode again: steps that were
answered are replayed without a call. The mode must ask the same agents for the same prompts then.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from uuid import UUID

from shared.domain.agent import Agent
from shared.domain.conversation import Spoken
from shared.domain.json_text import json_text
from shared.domain.turn import Plan, Reply
from shared.orchestration.council import Council


class AskFailed(Exception):
    """An ask brought no answer. `code` is that of its reply."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class CouncilRefused(AskFailed):
    """The budget or the turn's caps refused a call. No agent is asked after that."""


class NotAMember(Exception):
    """The agent is not in the session's roster, is disabled, or has an unknown model alias."""


class Diverged(Exception):
    """A mode that was run again asked another agent, or for another prompt, than before."""

    code = "graph_diverged"


class TurnLeft(BaseException):
    """This process is done with the turn: its time is up, the turn was stopped, or its mode diverged. It is no
    Exception, so that a handler of the mode's own cannot go on."""


class GrowingCouncil(Council):
    """The council of a mode that says whom it asks only when it asks."""

    # What ended the process in an ask, such as SystemExit. Another branch of the graph must not hide it.
    _end: BaseException | None = None

    @property
    def thread(self) -> tuple[str, UUID]:
        """The tenant and the session, which the mode's state belongs to."""
        assert self._asker.session_id is not None
        return self._asker.tenant_id, self._asker.session_id

    @property
    def turn_id(self) -> UUID:
        return self._asker.turn_id

    def ask_next(self, key: str, messages: Sequence[Spoken]) -> Reply:
        """Ask an agent, and return its reply. Raises AskFailed without an answer, NotAMember, and TurnLeft."""
        self._check_going_on()
        agent = self.conversation.roster.get(key)
        if agent is None or agent.model_alias not in self._asker.catalog:
            raise NotAMember(f"The agent '{key}' cannot be asked in this session.")
        prompt = hashlib.sha256(json_text([key, *messages]).encode()).hexdigest()
        self._grow(agent, prompt)
        ask = replace(
            self._ask(agent, len(self.replies), ()),
            build=partial(self._prompts.for_graph, agent, messages),
            continues=False,
            prompt_hash=prompt,
        )
        try:
            self._settle(agent, ask)
        except Exception as error:
            raise TurnLeft from error
        except BaseException as end:
            self._end = end
            raise
        reply = self.replies[-1]
        if reply.error is None:
            return reply
        raise AskFailed(reply.error.code) if self._refusal is None else CouncilRefused(reply.error.code)

    def finish(self) -> None:
        """Check that the mode has asked all that it had asked before. Raises Diverged, and what interrupted an ask."""
        if end := self._end or self.interruption:
            raise end
        planned = self.current_plan.selected_agent_keys if self.current_plan else ()
        if self.ended.failure == Diverged.code or len(self.replies) < len(planned):
            self.ended.failure = Diverged.code
            raise Diverged("The graph did not ask the same as before. Between its asks it must be deterministic.")

    def _check_going_on(self) -> None:
        if self._end or self.interruption or self.ended.failure:
            raise TurnLeft
        if self._refusal is not None:
            raise CouncilRefused(self._refusal.code)

    def _grow(self, agent: Agent, prompt: str) -> None:
        """Append the agent to the plan, or compare the ask with the stored one. Raises TurnLeft."""
        planned = self.current_plan.selected_agent_keys if self.current_plan else ()
        position = len(self.replies)
        attempts = self._asker.journal.attempts(position)
        if position == len(planned):
            # Steps behind the plan are those of helpers, which come when the mode is over.
            is_other = bool(attempts)
            self.current_plan = Plan((*planned, agent.key), "graph")
        else:
            is_other = planned[position] != agent.key or any(each.request_hash != prompt for each in attempts)
        if is_other:
            self.current_plan = Plan(planned, "graph")
            self.ended.failure = Diverged.code
            raise TurnLeft
