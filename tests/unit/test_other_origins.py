"""Tests which origins may read the answers of an HTTP function."""

import pytest

from local.gateway.worker import LambdaContext
from shared.names import CORS_RESPONSE_HEADERS, Env
from tests.support.gateway import Handler, request


def test_a_page_of_a_configured_origin_reads_answers_and_refusals(
    api: Handler, context: LambdaContext, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv(Env.CORS_ORIGINS, "https://chat.example.org,http://localhost:*")
    for origin in ("https://chat.example.org", "http://localhost:5173"):
        for path in ("/api/v1/models", "/api/v1/nothing"):
            headers = api(request("GET", path, headers={"Origin": origin}), context)["headers"]
            assert headers["access-control-allow-origin"] == origin
            assert set(headers["access-control-expose-headers"].split(", ")) == set(CORS_RESPONSE_HEADERS)
            assert headers["vary"] == "Origin"


@pytest.mark.parametrize("configured", ["https://chat.example.org", ""])
@pytest.mark.parametrize("origin", ["https://chat.example.org.evil.example", "https://evil.example", "null"])
def test_page_of_another_origin_reads_no_answer(
    api: Handler, context: LambdaContext, environment: pytest.MonkeyPatch, configured: str, origin: str
) -> None:
    environment.setenv(Env.CORS_ORIGINS, configured)
    headers = api(request("GET", "/api/v1/models", headers={"Origin": origin}), context)["headers"]
    assert "access-control-allow-origin" not in headers
