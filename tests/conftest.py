"""Gives each test module an event loop, and closes it."""

import asyncio
from collections.abc import Iterator

import pytest

pytest_plugins = ["tests.support.budgets"]


@pytest.fixture(scope="module", autouse=True)
def _event_loop_of_the_process() -> Iterator[None]:
    """Set a new event loop for each module, because asyncio.run() leaves none.

    The import of a handler makes Mangum create a loop if there is none. No code closes that loop, and Python 3.12 and
    later warn that it was missing.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()
