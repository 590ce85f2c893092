"""What every suite shares: an event loop that somebody closes."""

import asyncio
from collections.abc import Iterator

import pytest

pytest_plugins = ["tests.support.budgets"]


@pytest.fixture(scope="module", autouse=True)
def _event_loop_of_the_process() -> Iterator[None]:
    """Mangum runs a request on the current event loop, and makes one where there is none: a handler's module does so
    when it is imported. Nobody would close that loop, and Python 3.12 and later warn that it was not there. One for
    each module, since asyncio.run() leaves none behind."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()
