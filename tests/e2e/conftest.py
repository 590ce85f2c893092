"""The local stack of `make run`, started once for all tests that use it over HTTP.

Invariants after each test: its tenant has no unfinished turn, the journal has every request in the provider's own log,
and every invariant of the stored data holds.
"""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import psycopg
import pytest
from psycopg.rows import dict_row

from local.stack import Stack
from shared.db.engine import Row
from tests.support.council_room import broken_invariants
from tests.support.fake_provider import FakeProvider
from tests.support.processes import eventually
from tests.support.stack.misbehaving import TIMEOUT_S, started
from tests.support.stack.tenant import CANARY, Tenant, open_client, unjournaled_requests, with_provider

pytest.register_assert_rewrite("tests.clients.cases")

_ACTIVE = "SELECT id FROM turns WHERE tenant_id = %s AND status IN ('accepted', 'running')"


@pytest.fixture(scope="session")
def everybodys_provider() -> Iterator[FakeProvider]:
    with FakeProvider() as provider:
        yield provider


@pytest.fixture(scope="session")
def stack(everybodys_provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    environ = with_provider(everybodys_provider, tmp_path_factory.mktemp("stack"))
    with Stack.start({**environ, "SECRET_OF_THE_USER": CANARY}) as stack:
        yield stack


@pytest.fixture(scope="session")
def owner(stack: Stack) -> Iterator[psycopg.Connection[Row]]:
    """The database's owner, who sees every row, in autocommit."""
    with psycopg.connect(stack.owner_url, autocommit=True, row_factory=dict_row) as connection:
        yield connection


@pytest.fixture
def provider(everybodys_provider: FakeProvider) -> Iterator[FakeProvider]:
    """The models behind the stack, without any mood. After the test, requests on hold are answered."""
    everybodys_provider.clear()
    yield everybodys_provider
    everybodys_provider.release()


@pytest.fixture
def tenant(stack: Stack, provider: FakeProvider, owner: psycopg.Connection[Row]) -> Iterator[Tenant]:
    """A new tenant, with an administrator's token."""
    tenant_id = f"tenant-{uuid4()}"
    with open_client(stack.url, stack.token(tenant=tenant_id)) as http:
        tenant = Tenant(tenant_id, http, owner, provider, len(provider.rows))
        yield tenant
        provider.release()
        eventually(lambda: not tenant.rows(_ACTIVE, tenant.id))
        assert unjournaled_requests(tenant) == set()
        assert broken_invariants(owner) == {}


@pytest.fixture
def everybody(stack: Stack, tenant: Tenant) -> Iterator[httpx.Client]:
    """A user of the tenant with every role."""
    with open_client(stack.url, stack.token(tenant=tenant.id, roles=("member", "admin", "operator"))) as http:
        yield http


@pytest.fixture
def session_id(tenant: Tenant) -> str:
    """A session in mode `tag` with three agents: Writer, Researcher and Critic."""
    tenant.make_agents("writer", "researcher", "critic")
    return tenant.make_session("writer", "researcher", "critic")


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Variables for the handlers of `gateway_handlers`: the path of this checkout, and a folder for their marks."""
    (tmp_path / "marks").mkdir()
    return {"PYTHONPATH": str(Path(__file__).parents[2]), "MARKS": str(tmp_path / "marks")}


@pytest.fixture
def marks(environ: dict[str, str]) -> Path:
    return Path(environ["MARKS"])


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gateway")


@pytest.fixture(scope="module")
def port(directory: Path) -> Iterator[int]:
    with started(directory) as gateway:
        yield gateway.port


@pytest.fixture(scope="module")
def client(port: int) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=TIMEOUT_S) as client:
        yield client
