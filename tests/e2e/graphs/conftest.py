"""A stack that runs the example graphs. These tests run where LangGraph is installed: `make graphs`."""

from collections.abc import Iterator
from importlib.util import find_spec

import psycopg
import pytest
from psycopg.rows import dict_row

from local.stack import Stack
from shared.db.engine import Row
from tests.support.fake_provider import FakeProvider
from tests.support.stack.tenant import with_provider

if find_spec("langgraph") is None:
    collect_ignore_glob = ["test_*.py"]

EXAMPLES = ",".join(f"{name}=functions.graphs.examples.{name}:graph" for name in ("panel", "review", "tools"))


@pytest.fixture(scope="session")
def stack(everybodys_provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    environ = with_provider(everybodys_provider, tmp_path_factory.mktemp("graphs"), graphs=EXAMPLES)
    with Stack.start(environ) as stack:
        yield stack


@pytest.fixture(scope="session")
def owner(stack: Stack) -> Iterator[psycopg.Connection[Row]]:
    """The owner of this stack's database, in autocommit."""
    with psycopg.connect(stack.owner_url, autocommit=True, row_factory=dict_row) as connection:
        yield connection
