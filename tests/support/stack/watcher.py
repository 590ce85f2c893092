"""Watches a turn over its own socket, and reads only as many events as a test wants."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from urllib.parse import urlsplit

from tests.support.event_stream import Told, read_events
from tests.support.stack.tenant import PATIENCE_S, Tenant


class Watcher:
    """One turn that was posted."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.answer = HTTPResponse(connection, method="POST")
        self._read = b""

    def begin(self) -> None:
        """Read the head of the answer."""
        self.answer.begin()

    def read_until(self, event: str) -> list[Told]:
        """Read to the next event of this name, and return the events so far."""
        while f"event: {event}\n".encode() not in self._read or not self._read.endswith(b"\n\n"):
            piece = self.answer.read1()
            assert piece, "the stream has ended"
            self._read += piece
        return self.events

    def read_to_end(self) -> list[Told]:
        """Read the rest. Raises IncompleteRead where the stream breaks off."""
        self._read += self.answer.read()
        return self.events

    @property
    def events(self) -> list[Told]:
        return list(read_events(self._read.decode()).events)


@contextmanager
def posted(
    tenant: Tenant,
    session_id: str,
    message: str,
    *,
    version: str = "1.1",
    key: str | None = None,
    receive_buffer: int | None = None,
) -> Iterator[Watcher]:
    """Post a turn for its events."""
    parts = urlsplit(str(tenant.http.base_url))
    body = json.dumps({"message": message}).encode()
    lines = [
        f"POST {parts.path.rstrip('/')}/sessions/{session_id}/turns HTTP/{version}",
        f"Host: {parts.netloc}",
        f"Authorization: {tenant.http.headers['authorization']}",
        "Accept: text/event-stream",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *([f"Idempotency-Key: {key}"] if key else []),
    ]
    with socket.socket() as connection:
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(PATIENCE_S)
        connection.connect((parts.hostname or "", parts.port or 0))
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        watcher = Watcher(connection)
        try:
            yield watcher
        finally:
            watcher.answer.close()
