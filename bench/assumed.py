"""List the figures of the cost model that are assumed and not measured."""

from dataclasses import dataclass
from typing import Final

from bench.footprint import AGENTS


@dataclass(frozen=True)
class Assumed:
    """Assumed figures. Tokens are of one call; shares are of 1; seconds are wall clock."""

    agent_aliases: tuple[str, ...] = ("fast", "fast", "deep")
    agent_prompt: int = 2500
    agent_answer: int = 300
    helper_prompt: int = 1200
    helper_answer: int = 60
    # The number of turns between two summaries. A summary takes two calls.
    turns_a_summary: int = 12
    first_token_s: float = 0.6
    tokens_a_second: float = 90.0
    reads_a_turn: float = 3.0
    read_s: float = 0.03
    read_response_bytes: int = 4000
    # The share of turns that are posted with `Prefer: respond-async`. The worker runs them.
    posted_for_later: float = 0.01
    # The share of streamed turns. The bytes of an event around each token, and of a provider's chunk around each token.
    streamed: float = 1.0
    event_bytes: int = 52
    chunk_bytes: int = 250
    # Bytes of an invocation's lines START, END and REPORT, and of a request's line in the access log.
    lambda_log_bytes: int = 350
    access_log_bytes: int = 440
    # API Gateway caches the authorizer's answer for a minute, so a turn and its reads need one.
    authorizations_a_turn: float = 1.0
    authorizer_s: float = 0.006
    # Concurrent processes of the authorizer, and the seconds of a copy of the issuer's keys.
    authorizers: int = 3
    copy_s: float = 0.5
    # An anonymous request: seconds of the authorizer for a malformed token and for an unknown key, seconds of the API
    # for /health, and bytes of an answer.
    malformed_s: float = 0.002
    unknown_key_s: float = 0.006
    health_s: float = 0.010
    anonymous_response_bytes: int = 500
    # Bytes of a token, stored copies of an answer (journal, reply, response), and bytes between function and database.
    token_bytes: int = 4
    copies: int = 3
    database_wire_bytes: int = 40_000
    # Lambda's pollers of the queue. Each poll takes 20 seconds.
    pollers: int = 5
    series: int = 90
    packed_logs: float = 0.15
    cold_share: float = 0.005
    # The peak as a multiple of the mean.
    peak: float = 5.0


ASSUMED: Final = Assumed()

assert len(ASSUMED.agent_aliases) == AGENTS, "what is measured and what is priced is the same turn"
