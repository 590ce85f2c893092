"""Count the bytes that a client receives for a turn, and the requests that API Gateway charges for it."""

import math

from bench.assumed import Assumed
from bench.footprint import Footprint
from infra_cdk import rates


def streamed_bytes(assumed: Assumed, footprint: Footprint) -> float:
    """Return the bytes of a streamed turn: its tokens, then the stored replies, then the turn."""
    tokens = len(assumed.agent_aliases) * assumed.agent_answer
    return tokens * (assumed.event_bytes + assumed.token_bytes) + 2 * footprint.response_bytes


def mean_bytes(assumed: Assumed, footprint: Footprint) -> float:
    """Return the mean bytes over streamed and whole answers."""
    whole = footprint.response_bytes
    return whole + assumed.streamed * (streamed_bytes(assumed, footprint) - whole)


def mean_requests(assumed: Assumed, footprint: Footprint) -> float:
    """Return the mean requests. A streamed answer is one for each 10 MB that it begins, a whole answer is one."""
    parts = math.ceil(streamed_bytes(assumed, footprint) / rates.STREAMED_REQUEST_BYTES)
    return 1 + assumed.streamed * (parts - 1)
