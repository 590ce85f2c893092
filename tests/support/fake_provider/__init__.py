"""An OpenAI-compatible server for tests, with moods and with a log of its own.

The rule this package protects: the log is evidence. A request is written down, and fsynced if there is a
file, before it is answered, so that the log holds every call that the server may have billed.

    with FakeProvider(log_path=path) as provider:
        provider.add(moods.status(500), when="You are the Critic")
        ...  # send requests to provider.url
        assert [row.status for row in provider.rows] == [200, 500, 200]
"""

from tests.support.fake_provider import moods
from tests.support.fake_provider.moods import Mood, Received
from tests.support.fake_provider.request_log import Row
from tests.support.fake_provider.server import FakeProvider

__all__ = ["FakeProvider", "Mood", "Received", "Row", "moods"]
