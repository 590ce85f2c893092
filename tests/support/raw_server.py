"""Runs a server on 127.0.0.1 that treats each connection as a test says, byte for byte."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Serve = Callable[[socket.socket], None]
PAUSE_S = 0.05
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@contextmanager
def listening(serve: Serve, tls: tuple[Path, Path] | None = None) -> Iterator[int]:
    """Run `serve` in a thread for each connection, inside of TLS if there are a certificate and its key. Yields the
    port."""
    accepted: list[socket.socket] = []

    def run(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if tls:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(*tls)
                connection = context.wrap_socket(connection, server_side=True)
                accepted.append(connection)
            with connection:
                serve(connection)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                accepted.append(listener.accept()[0])
                threading.Thread(target=run, args=(accepted[-1],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            for each in (listener, *accepted):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)


def heard(connection: socket.socket) -> bytes:
    """The head of a request whose body is `{}`, or of a CONNECT. Empty at the end of the connection."""
    read = b""
    while not read.endswith(b"\r\n\r\n{}") and not (read.startswith(b"CONNECT") and read.endswith(b"\r\n\r\n")):
        if not (some := connection.recv(65_536)):
            return b""
        read += some
    return read


def answering(connection: socket.socket) -> None:
    """Answer every request, and keep the connection."""
    while heard(connection):
        connection.sendall(ANSWER)


def dripping(start: bytes, drop: bytes = b"x") -> Serve:
    """Answer with `start`, and then with a drop every PAUSE_S, without an end."""

    def serve(connection: socket.socket) -> None:
        heard(connection)
        connection.sendall(start)
        _drip(connection, drop)

    return serve


def dripping_handshake(connection: socket.socket) -> None:
    """Answer a TLS hello with the head of a record, and its body a byte at a time."""
    connection.recv(65_536)
    connection.sendall(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc")
    _drip(connection, b"\x03")


def forwarding(port: int) -> Serve:
    """Be a proxy that connects every CONNECT to `port` of this machine."""

    def serve(connection: socket.socket) -> None:
        heard(connection)
        with socket.create_connection(("127.0.0.1", port)) as server:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            threading.Thread(target=_copy, args=(server, connection), daemon=True).start()
            _copy(connection, server)

    return serve


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while some := source.recv(65_536):
            target.sendall(some)


def _drip(connection: socket.socket, drop: bytes) -> None:
    while True:
        time.sleep(PAUSE_S)
        connection.sendall(drop)
