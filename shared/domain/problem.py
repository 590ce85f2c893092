"""Why a reply or a turn has no text: a stable code, and a sentence for people."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    code: str
    detail: str

    def as_dict(self) -> dict[str, str]:
        return {"code": self.code, "detail": self.detail}


_DETAILS: Mapping[str, str] = {
    "throttled": "The provider asked us to slow down, and did so again.",
    "unavailable": "The provider could not be reached.",
    "refused": "The provider refused the request.",
    "context_overflow": "The prompt is too long for the model, even without the history.",
    "provider_error": "The provider failed, and failed again.",
    "timeout": "The provider did not answer in time.",
    "connection_lost": "The connection to the provider was lost before it answered.",
    "malformed_response": "The provider's answer could not be read.",
    "empty_reply": "The agent answered with nothing.",
    "thinking_only": "The model used the whole answer for thinking. Raise the output cap of the agent, or its alias.",
    "content_filtered": "The provider withheld the answer.",
    "unknown_model_alias": "The agent's model alias is not in this deployment's catalog.",
    "no_reply": "No agent answered.",
    "cancelled": "The turn was ended before this agent was asked.",
    "turn_abandoned": "The turn was given up after three attempts to finish it had brought nothing.",
    "mode_error": "The turn's mode failed. No agent was asked after that.",
    "turn_limit_exceeded": "The call would go beyond what one turn may take.",
    "budget_exceeded": "This month's budget does not cover the call.",
}


def problem(code: str) -> Problem:
    """The problem with this code. Raises KeyError for a code that is not in the list."""
    return Problem(code, _DETAILS[code])
