"""Count the bytes that a client gets for a turn, and the requests that API Gateway charges for it."""

import math

from bench.assumed import Assumed
from bench.footprint import Footprint
from infra_cdk import rates


def streamed_bytes(assumed: Assumed, footprint: Footprint) -> float:
    """The bytes of a streamed turn: its text token by token, then each reply as it is stored, then the turn."""
    tokens = len(assumed.agent_aliases) * assumed.agent_answer
    return tokens * (assumed.event_bytes + assumed.token_bytes) + 2 * footprint.response_bytes


def mean_bytes(assumed: Assumed, footprint: Footprint) -> float:
    """The mean over streamed and whole answers."""
    whole = footprint.response_bytes
    return whole + assumed.streamed * (streamed_bytes(assumed, footprint) - whole)


def mean_requests(assumed: Assumed, footprint: Footprint) -> float:
    """A whole answer is one request. A streamed one is a request for each 10 MB that it begins."""
    parts = math.ceil(streamed_bytes(assumed, footprint) / rates.STREAMED_REQUEST_BYTES)
    return 1 + assumed.streamed * (parts - 1)
