"""Tests how a client asks for events or for JSON."""

import pytest

from functions.accept import prefers
from functions.server_sent_events import MEDIA_TYPE

EVENTS, JSON = True, False


@pytest.mark.parametrize(
    ("accept", "events"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("application/json", JSON),
        ("text/event-stream", EVENTS),
        ("Text/Event-Stream", EVENTS),
        ("text/event-stream; charset=utf-8", EVENTS),
        ("text/*", EVENTS),
        ("application/*", JSON),
        # The higher quality wins, wherever it is.
        ("text/event-stream;q=0.9, application/json;q=0.8", EVENTS),
        ("application/json;q=0.8, text/event-stream;q=0.9", EVENTS),
        ("text/event-stream;q=0.8, application/json", JSON),
        ("text/event-stream;q=0.5, */*", JSON),
        ("text/event-stream ; Q=0.5 , */* ; q=0.1", EVENTS),
        # As likely: the more specific one.
        ("text/event-stream, */*", EVENTS),
        ("application/json, */*", JSON),
        ("*/*, text/event-stream", EVENTS),
        ("text/*, */*", EVENTS),
        ("text/*, application/json", JSON),
        # As likely and as specific: the first one.
        ("text/event-stream, application/json", EVENTS),
        ("application/json, text/event-stream", JSON),
        ("text/*, application/*", EVENTS),
        # A quality of 0 refuses, and of its own range only.
        ("text/event-stream;q=0", JSON),
        ("text/event-stream;q=0, application/json;q=0", JSON),
        ("text/event-stream;q=0, */*", JSON),
        ("application/json;q=0, */*", EVENTS),
        ("text/event-stream;q=0, text/*", JSON),
        # The most specific range has the quality.
        ("text/*;q=0.1, text/event-stream, application/json;q=0.5", EVENTS),
        # Qualities that nobody can read.
        ("text/event-stream;q=high", EVENTS),
        ("text/event-stream;q=nan, application/json;q=0.9", EVENTS),
        ("text/event-stream;q=0.5, application/json;q=2", JSON),
        ("text/event-stream;q=", EVENTS),
        ("text/event-stream;q=1.000", EVENTS),
        # A browser sends this for a page.
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", JSON),
        (",,;,", JSON),
        ("text/event-streams", JSON),
    ],
)
def test_client_gets_events_when_it_prefers_them(accept: str, events: bool) -> None:
    assert prefers(MEDIA_TYPE, accept) is events
