"""Runs an OpenAI-compatible server for tests, with moods and its own log.

The server writes a request to its log before it answers, with an fsync if the log is a file. So the log holds each call
that the server may have billed.

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
