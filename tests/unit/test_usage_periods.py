"""How long a period of usage may be, over HTTP."""

import pytest

from local.gateway.worker import LambdaContext
from shared.names import Env
from tests.unit.gateway import Handler, problem_of, request


@pytest.mark.parametrize("path", ["/api/v1/usage", "/api/v1/admin/usage"])
def test_sessions_over_more_than_92_days_are_refused_without_reading(
    api: Handler, admin: Handler, environment: pytest.MonkeyPatch, context: LambdaContext, path: str
) -> None:
    environment.setenv(Env.OPS_DATABASE_URL, "postgresql://pantheon_ops@127.0.0.1:1/none")
    asked = request("GET", path, query="group_by=agent_key,session_id&from=2000-01-01")
    asked["requestContext"]["authorizer"]["roles"] = '["pantheon:operator"]'
    problem = problem_of((admin if "admin" in path else api)(asked, context), 422, "invalid_request")
    assert problem["longest_days"] == 92
    assert "session_id takes 92 days at most" in problem["detail"]
