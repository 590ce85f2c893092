"""Counts the messages of a database client by a proxy on 127.0.0.1 in front of a PostgreSQL server."""

import socket
import threading
from collections import Counter
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_CHUNK = 65536
_CONNECT_S = 30.0
# Requests for encryption come before the start of a session, and would have to be answered apart.
_PLAIN = "?sslmode=disable&gssencmode=disable"


class Wiretap:
    """Serves one connection. `url` leads through it to the database of the URL that was given.

    `round_trips` are the client's requests for an answer (Sync, or a simple query). `statements` are the executed
    statements without those whose text holds `ignoring`.
    """

    def __init__(self, url: str, *, ignoring: str) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or "", parts.port or 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(_CONNECT_S)
        self.url = url.replace(f":{parts.port}/", f":{self._listener.getsockname()[1]}/") + _PLAIN
        self._ignoring = ignoring.encode()
        self._ignored: set[bytes] = set()
        self._counts: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._serve)

    @property
    def round_trips(self) -> int:
        return self._counts["S"] + self._counts["Q"]

    @property
    def statements(self) -> int:
        return self._counts["B"] + self._counts["Q"] - self._counts["ignored"]

    def reset(self) -> None:
        self._counts.clear()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        client, _ = self._listener.accept()
        with client, socket.create_connection(self._server) as server:
            for side in (client, server):
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            answers = threading.Thread(target=_forward, args=(server, client))
            answers.start()
            self._listen(client, server)
            server.shutdown(socket.SHUT_WR)
            answers.join()

    def _listen(self, client: socket.socket, server: socket.socket) -> None:
        """Count a message, then pass it on: its answer cannot come before it is counted."""
        with client.makefile("rb") as messages:
            kind = b""  # the first message, which begins a session, has none
            while head := messages.read(4):
                rest = messages.read(int.from_bytes(head) - 4)
                self._count(kind.decode(), rest)
                server.sendall(kind + head + rest)
                kind = messages.read(1)

    def _count(self, kind: str, rest: bytes) -> None:
        self._counts[kind] += 1
        if kind == "P" and self._ignoring in rest:
            self._ignored.add(rest.split(b"\0")[0])
        if kind == "B" and rest.split(b"\0")[1] in self._ignored:
            self._counts["ignored"] += 1


def _forward(source: socket.socket, sink: socket.socket) -> None:
    while chunk := source.recv(_CHUNK):
        sink.sendall(chunk)
