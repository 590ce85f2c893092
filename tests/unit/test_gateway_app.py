"""Tests how the local gateway answers an invocation, without a server or processes."""

import asyncio
from typing import Any, cast

import httpx
import pytest

from local.gateway.app import GatewayApp
from local.gateway.hosts import Hosts
from local.gateway.pool import InvocationResult, Pool, Status
from shared.names import COMPRESSED_FROM
from tests.unit.test_gateway_authorizer import answer

ECHO = {"statusCode": 200, "body": "echo"}


class FakePool:
    """A pool whose authorizer allows everything, and whose functions end as `result` after `seconds`."""

    def __init__(self, result: InvocationResult, seconds: float = 0.0) -> None:
        self._result = result
        self._seconds = seconds

    async def invoke(self, name: str, _event: Any) -> InvocationResult:
        if name == "authorizer":
            return InvocationResult("succeeded", answer())
        await asyncio.sleep(self._seconds)
        return self._result

    open = invoke


def ask(pool: FakePool, method: str, path: str, buffered_s: float = 29.0, accepted: str = "gzip") -> httpx.Response:
    async def inside() -> httpx.Response:
        app = GatewayApp(cast(Pool, pool), Hosts(8000), None, buffered_s=buffered_s)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8000") as client:
            return await client.request(
                method, path, headers={"Authorization": "Bearer good", "Accept-Encoding": accepted}
            )

    return asyncio.run(inside())


@pytest.mark.parametrize(
    ("status", "answered", "message"),
    [
        ("failed", 502, "Internal server error"),
        ("timed_out", 502, "Internal server error"),
        ("died", 502, "Internal server error"),
        ("throttled", 500, "Internal server error"),
        ("too_large", 413, "Request Too Long"),
    ],
)
def test_invocation_without_a_result_is_answered_by_its_outcome(status: Status, answered: int, message: str) -> None:
    response = ask(FakePool(InvocationResult(status, {"errorMessage": "secret"})), "GET", "/api/v1/agents")
    assert (response.status_code, response.json()) == (answered, {"message": message})


def test_result_that_is_not_a_response_is_502() -> None:
    response = ask(FakePool(InvocationResult("succeeded", {"message": "secret"})), "GET", "/api/v1/agents")
    assert (response.status_code, response.json()) == (502, {"message": "Internal server error"})


def test_a_buffered_answer_that_takes_too_long_is_504() -> None:
    response = ask(FakePool(InvocationResult("succeeded", ECHO), 5.0), "GET", "/api/v1/agents", buffered_s=0.05)
    assert (response.status_code, response.json()) == (504, {"message": "Endpoint request timed out"})


def test_streamed_route_has_a_longer_time_limit() -> None:
    pool = FakePool(InvocationResult("succeeded", ECHO), 0.2)
    assert ask(pool, "POST", "/api/v1/sessions/1/turns", buffered_s=0.05).text == "echo"


LONG = "x" * COMPRESSED_FROM


def coding(result: dict[str, Any], method: str, path: str, accepted: str) -> str | None:
    """Return the encoding of the gateway for this result, after the client has read its whole body."""
    response = ask(FakePool(InvocationResult("succeeded", result)), method, path, accepted=accepted)
    assert response.text == result["body"]
    chosen: str | None = response.headers.get("content-encoding")
    return chosen


@pytest.mark.parametrize("accepted", ["gzip", "deflate, gzip;q=0.5, br", "br,GZIP ; q=1.0"])
def test_a_long_answer_is_compressed_for_a_client_that_names_gzip(accepted: str) -> None:
    assert coding({"statusCode": 200, "body": LONG}, "GET", "/api/v1/agents", accepted) == "gzip"


@pytest.mark.parametrize("accepted", ["", "*", "br", "gzip;q=0", "gzip;q=0.0, br", "xgzip", "gzipped"])
def test_an_answer_is_sent_as_it_is_to_a_client_that_does_not_name_gzip(accepted: str) -> None:
    assert coding({"statusCode": 200, "body": LONG}, "GET", "/api/v1/agents", accepted) is None


def test_a_short_answer_is_never_compressed() -> None:
    assert coding({"statusCode": 200, "body": LONG[1:]}, "GET", "/api/v1/agents", "gzip") is None


def test_an_answer_of_a_streamed_route_is_never_compressed() -> None:
    assert coding({"statusCode": 200, "body": LONG}, "POST", "/api/v1/sessions/1/turns", "gzip") is None


def test_answer_with_its_own_coding_is_unchanged() -> None:
    coded = {"statusCode": 200, "body": LONG, "headers": {"Content-Encoding": "identity"}}
    assert coding(coded, "GET", "/api/v1/agents", "gzip") == "identity"
