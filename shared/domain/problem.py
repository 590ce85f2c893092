"""The reasons why a reply or a turn has no text: a stable code, and a sentence for people."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    code: str
    detail: str

    def as_dict(self) -> dict[str, str]:
        return {"code": self.code, "detail": self.detail}


_DETAILS: Mapping[str, str] = {
    "throttled": "The provider asked us to slow down. Send the message again later.",
    "unavailable": "The provider could not be reached. Nothing was sent to it.",
    "provider_unauthorized": "The provider refused the key of this deployment. Its operator has to replace the key.",
    "provider_quota": "The provider's quota or credit is used up. The operator of this deployment has to raise it.",
    "model_unavailable": "The provider has no such model at this address. The operator has to correct the catalog.",
    "invalid_parameter": "The provider refused a part of the request. The operator can leave it out in the catalog.",
    "thinking_only": (
        "The model used its whole output cap for thinking. Raise max_output_tokens of the agent, or of its alias."
    ),
    "refused": "The provider refused the request.",
    "context_overflow": "The prompt is too long for the model, even without the history.",
    "provider_error": "The provider failed. Send the message again later.",
    "timeout": "The provider did not answer in time.",
    "connection_lost": "The connection to the provider was lost before it answered.",
    "malformed_response": "The provider's answer could not be read.",
    "empty_reply": "The agent's answer was empty.",
    "content_filtered": "The provider withheld the answer.",
    "unknown_model_alias": "The agent's model alias is not in this deployment's catalog.",
    "no_reply": "No agent answered.",
    "no_answers": "No member answered, so there was nothing to conclude.",
    "cancelled": "The turn was ended before this agent was asked.",
    "turn_abandoned": "The turn was given up after three attempts without a new answer.",
    "mode_error": "The turn's mode failed. No agent was asked after that.",
    "graph_diverged": (
        "The turn's graph ran again and asked for other calls than before. Between its asks it must be deterministic."
    ),
    "graph_state_invalid": "The state of the turn's graph cannot be stored for the next turn.",
    "turn_limit_exceeded": "The call would exceed the limits of one turn.",
    "budget_exceeded": "This month's budget does not cover the call.",
}


def problem(code: str) -> Problem:
    """Return the problem with this code. Raises KeyError for an unknown code."""
    return Problem(code, _DETAILS[code])
