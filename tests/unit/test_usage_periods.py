"""Tests the limits of the usage API on a period and on a page, over HTTP."""

from collections.abc import Callable
from typing import Any

import pytest

from local.gateway.worker import LambdaContext
from shared.names import Env
from tests.support.gateway import Handler, problem_of, request

TOTALS = ("/api/v1/usage", "/api/v1/admin/usage")
PATHS = (*TOTALS, "/api/v1/usage/calls")

Refused = Callable[..., dict[str, Any]]


@pytest.fixture
def refused(api: Handler, admin: Handler, environment: pytest.MonkeyPatch, context: LambdaContext) -> Refused:
    """The problem that a query of usage is refused with, where no database can be reached."""
    environment.setenv(Env.OPERATOR_DATABASE_URL, "postgresql://pantheon_operator@127.0.0.1:1/none")

    def ask(path: str, query: str, accept: str = "application/json") -> dict[str, Any]:
        asked = request("GET", path, query=query, headers={"Accept": accept})
        asked["requestContext"]["authorizer"]["roles"] = '["pantheon:operator"]'
        return problem_of((admin if "admin" in path else api)(asked, context), 422, "invalid_request")

    return ask


@pytest.mark.parametrize("path", TOTALS)
def test_sessions_over_more_than_92_days_are_refused_without_reading(refused: Refused, path: str) -> None:
    problem = refused(path, "group_by=agent_key,session_id&from=2026-01-01&to=2026-04-04")
    assert problem["longest_days"] == 92
    assert "session_id takes 92 days at most" in problem["detail"]


@pytest.mark.parametrize("query", ["from=2025-01-01&to=2026-02-05T00:00:00.000001Z", "from=2000-01-01"])
@pytest.mark.parametrize("accept", ["application/json", "text/csv"])
@pytest.mark.parametrize("path", PATHS)
def test_a_period_over_more_than_400_days_is_refused_without_reading(
    refused: Refused, path: str, accept: str, query: str
) -> None:
    problem = refused(path, query, accept)
    assert problem["longest_days"] == 400
    assert "400 days apart at most; ask for a shorter period" in problem["detail"]


@pytest.mark.parametrize("limit", [0, 101])
@pytest.mark.parametrize("accept", ["application/json", "text/csv"])
@pytest.mark.parametrize("path", PATHS)
def test_a_page_beyond_its_bound_is_refused_without_reading(
    refused: Refused, path: str, accept: str, limit: int
) -> None:
    assert "query.limit" in refused(path, f"limit={limit}", accept)["detail"]
