"""A proxy on 127.0.0.1 in front of PostgreSQL that ends the connection at a commit.

Each statement is one implicit transaction, and its Sync is the commit. The connection ends before the Sync is passed
on, at the moment when it is, or when its answer comes: nothing was committed, nobody knows, everything was.
"""

import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

Where = Literal["before", "at", "after"]
_CHUNK = 65536
# Encryption requests precede the start of a session. This proxy does not answer them.
_PLAIN = "?sslmode=disable&gssencmode=disable"


@dataclass(frozen=True)
class Cut:
    """The commit of a job, counted from 1 over all its connections, and the moment in it at which to cut."""

    commit: int
    where: Where


class CutProxy:
    def __init__(self, url: str, cut: Cut) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or "", parts.port or 0)
        self._cut = cut
        self._commits = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._url = url.replace(f":{parts.port}/", f":{self._listener.getsockname()[1]}/") + _PLAIN

    def start(self) -> str:
        """Listen for as long as the process lives. Returns the URL that leads through here."""
        threading.Thread(target=self._accept, daemon=True).start()
        return self._url

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        ending = threading.Event()
        with client, socket.create_connection(self._server) as server, suppress(OSError):
            for side in (client, server):
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_answer, args=(server, client, ending), daemon=True).start()
            self._listen(client, server, ending)

    def _listen(self, client: socket.socket, server: socket.socket, ending: threading.Event) -> None:
        with client.makefile("rb") as messages:
            kind = b""  # the first message, which begins a session, has none
            while head := messages.read(4):
                rest = messages.read(int.from_bytes(head) - 4)
                met = (kind == b"S" or (kind == b"Q" and rest.startswith(b"COMMIT"))) and self._met()
                if met and self._cut.where == "before":
                    _end(server, client)
                    return
                if met and self._cut.where == "after":
                    ending.set()
                server.sendall(kind + head + rest)
                if met and self._cut.where == "at":
                    _end(server, client)
                    return
                kind = messages.read(1)

    def _met(self) -> bool:
        self._commits += 1
        return self._commits == self._cut.commit


def _answer(server: socket.socket, client: socket.socket, ending: threading.Event) -> None:
    with suppress(OSError):
        while chunk := server.recv(_CHUNK):
            # "Z" says that the server is ready again, so it has committed.
            if ending.is_set() and chunk[-6:-1] == b"Z\x00\x00\x00\x05":
                break
            client.sendall(chunk)
        _end(server, client)


def _end(*sides: socket.socket) -> None:
    for side in sides:
        with suppress(OSError):
            side.shutdown(socket.SHUT_RDWR)
