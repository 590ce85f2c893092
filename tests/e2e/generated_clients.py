"""Generated clients post a turn on the local stack, and read the gateway's 401: `make clients`."""

from pathlib import Path
from typing import Final

import pytest

from local.stack import Stack
from tests.clients import generated
from tests.clients.page import ADDRESS, block
from tests.support.stack.tenant import Tenant

_REFUSED: Final = 401


@pytest.fixture
def environ(stack: Stack, tenant: Tenant) -> dict[str, str]:
    """The address and a token, for a tenant with an agent."""
    tenant.make_agents("writer")
    token = tenant.http.headers["Authorization"].removeprefix("Bearer ")
    return {"PANTHEON_URL": stack.url, "PANTHEON_TOKEN": token}


@pytest.fixture(scope="module")
def _compiled() -> None:
    generated.generate_typescript()


def assert_refused(said: dict[str, object]) -> None:
    assert said["status"] == _REFUSED
    assert isinstance(said["refusal"], str)


def test_openapi_python_client_posts_a_turn(environ: dict[str, str], tmp_path: Path) -> None:
    generated.generate_python(tmp_path)
    said = generated.run_python(tmp_path, environ)
    assert said["output"] == "You said: hello"
    assert said["location"].startswith("/api/v1/turns/")
    assert_refused(said["refused"])


@pytest.mark.usefixtures("_compiled")
def test_openapi_fetch_posts_a_turn_and_reads_csv(environ: dict[str, str]) -> None:
    said = generated.run_typescript("fetch", environ)
    assert said["output"] == "You said: hello"
    assert said["location"].startswith("/api/v1/turns/")
    assert said["csv"].startswith("created_at,kind,account,")
    assert_refused(said["refused"])


@pytest.mark.usefixtures("_compiled")
def test_hey_api_streams_a_turn_and_reads_csv(environ: dict[str, str]) -> None:
    said = generated.run_typescript("hey", environ)
    assert said["output"] == "You said: hello"
    assert said["events"] == ["turn", "turn.ended"]
    assert said["csv"].startswith("created_at,kind,account,")
    assert_refused(said["refused"])


@pytest.mark.usefixtures("_compiled")
def test_commands_of_the_page_generate_the_clients(stack: Stack, tmp_path: Path) -> None:
    generated.run_commands(block("Generated clients", "bash").replace(ADDRESS, stack.url), tmp_path)
    for made in ("pantheon_client/api/turns/post_turn.py", "schema.d.ts", "hey/sdk.gen.ts"):
        assert (tmp_path / made).exists()
