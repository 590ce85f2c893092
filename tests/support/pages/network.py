"""Holds a network between a browser and the stack that a test can cut."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_CHUNK = 65536


class Network:
    """A proxy on 127.0.0.1. `url` leads through it to the stack. While it `is_down`, it closes every connection."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or "", parts.port or 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        # The stack serves its own name and port alone.
        self._names = (urlsplit(self.url).netloc.encode(), parts.netloc.encode())
        self.is_down = False
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._serve)

    def cut(self) -> None:
        """Close all connections, and each new one."""
        self.is_down = True
        self._close_all()

    def mend(self) -> None:
        self.is_down = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._close_all()
        self._thread.join()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.is_down:
                    client.close()
                    continue
                server = socket.create_connection(self._server)
                with self._lock:
                    self._open |= {client, server}
                for ends in ((client, server, self._names), (server, client, (b"", b""))):
                    threading.Thread(target=_forward, args=ends, daemon=True).start()

    def _close_all(self) -> None:
        with self._lock:
            closed, self._open = self._open, set()
        for side in closed:
            _close(side)


def _forward(source: socket.socket, target: socket.socket, names: tuple[bytes, bytes]) -> None:
    """Pass everything on, with the first name replaced by the second one."""
    old, new = names
    with suppress(OSError):
        while data := source.recv(_CHUNK):
            target.sendall(data.replace(old, new) if old else data)
    for side in (source, target):
        _close(side)


def _close(side: socket.socket) -> None:
    # A thread that reads does not notice a close alone.
    with suppress(OSError):
        side.shutdown(socket.SHUT_RDWR)
    side.close()
