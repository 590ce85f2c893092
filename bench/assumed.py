"""The figures of the cost model that are assumed and not measured."""

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
    # The share of turns that a client reads as a stream, the bytes of an event around each token of it, and the bytes
    # that a provider sends around each token of a streamed answer.
    streamed: float = 1.0
    event_bytes: int = 52
    chunk_bytes: int = 250
    # Of an invocation, START, END and REPORT, and a request's line in the access log.
    lambda_log_bytes: int = 350
    access_log_bytes: int = 440
    # API Gateway keeps the authorizer's answer for a minute: for a turn and the reads that follow it.
    authorizations_a_turn: float = 1.0
    authorizer_s: float = 0.006
    # Processes of the authorizer that run at the same time, and what a copy of the issuer's keys takes.
    authorizers: int = 3
    copy_s: float = 0.5
    # Of an anonymous request: the authorizer's time for a malformed token and for an unknown key, the API's for
    # /health, and the bytes of an answer.
    malformed_s: float = 0.002
    unknown_key_s: float = 0.006
    health_s: float = 0.010
    anonymous_response_bytes: int = 500
    # Bytes of a token, the copies of an answer that are kept (journal, reply, response), and what is sent to a model.
    token_bytes: int = 4
    copies: int = 3
    database_wire_bytes: int = 40_000
    # Pollers ask for 20 seconds each, whether there is a message or not.
    pollers: int = 5
    series: int = 90
    packed_logs: float = 0.15
    cold_share: float = 0.005
    # How many times the mean there is at the peak.
    peak: float = 5.0


ASSUMED: Final = Assumed()

assert len(ASSUMED.agent_aliases) == AGENTS, "what is measured and what is priced is the same turn"
