"""Price a million requests without a valid credential, by the parts that they reach.

The prices are upper bounds, because they include API Gateway's price of requests that it refuses itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bench.assumed import ASSUMED, Assumed
from bench.cost_model import GB, logged_byte_usd, request_usd
from infra_cdk import rates
from infra_cdk.stages import Stage

MILLION: Final = 1_000_000


@dataclass(frozen=True)
class Kind:
    """A kind of request. `function_s` is the time that a function runs for it, 0 without a function."""

    name: str
    reaches: str
    function_s: float


def kinds(assumed: Assumed = ASSUMED) -> tuple[Kind, ...]:
    return (
        Kind("no Authorization header", "API Gateway alone", 0.0),
        Kind("unknown path", "API Gateway alone", 0.0),
        Kind("malformed token", "the authorizer, no database", assumed.malformed_s),
        Kind("unknown API key", "the authorizer, one read", assumed.unknown_key_s),
        Kind("`GET /health`", "the API, checks at most every 5 s", assumed.health_s),
    )


def million_usd(kind: Kind, stage: Stage, assumed: Assumed = ASSUMED) -> float:
    """Return USD for a million requests, each with another credential, so that no cache answers."""
    logged = assumed.access_log_bytes + (assumed.lambda_log_bytes if kind.function_s else 0)
    one = request_usd(stage) + logged * logged_byte_usd(stage, assumed)
    one += assumed.anonymous_response_bytes / GB * rates.EGRESS_GB.usd
    return MILLION * (one + _function_usd(kind.function_s, stage, assumed))


def by_kind(stage: Stage, assumed: Assumed = ASSUMED) -> Mapping[str, float]:
    return {kind.name: million_usd(kind, stage, assumed) for kind in kinds(assumed)}


def _function_usd(seconds: float, stage: Stage, assumed: Assumed) -> float:
    """Return the price of an invocation, with its share of starts from a snapshot."""
    if not seconds:
        return 0.0
    gb = stage.memory_mb / 1024
    restored = assumed.cold_share * gb * rates.RESTORED_GB.usd
    return rates.LAMBDA_REQUEST.usd + seconds * gb * rates.LAMBDA_GB_SECOND.usd + restored
