"""Runs a TCP proxy on 127.0.0.1 whose connections stop passing bytes without closing."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_CHUNK = 65536
# Requests for encryption come before the start of a session, and would have to be answered apart.
_PLAIN = "?sslmode=disable&gssencmode=disable"


class BlackHole:
    """`url` leads through it to the database of the URL that was given."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or "", parts.port or 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = url.replace(f":{parts.port}/", f":{self._listener.getsockname()[1]}/") + _PLAIN
        self._open: list[socket.socket] = []
        self._dead = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]

    def swallow(self) -> None:
        """Let nothing pass any more on the connections that are open now. New ones work."""
        self._dead.set()
        self._dead = threading.Event()

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for side in (self._listener, *self._open):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for side in (self._listener, *self._open):
            side.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                self._open += [client, server]
                for source, sink in ((client, server), (server, client)):
                    source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._threads.append(threading.Thread(target=_forward, args=(source, sink, self._dead)))
                    self._threads[-1].start()


def _forward(source: socket.socket, sink: socket.socket, dead: threading.Event) -> None:
    with suppress(OSError):
        while chunk := source.recv(_CHUNK):
            if not dead.is_set():
                sink.sendall(chunk)
        # The end of a dead connection is not passed on either.
        if not dead.is_set():
            sink.shutdown(socket.SHUT_RDWR)
