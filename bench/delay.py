"""Delays TCP connections: a proxy on 127.0.0.1, in a process of its own.

    python -m bench.delay PORT MILLISECONDS      prints the port on which it listens

A piece leaves whole and in order, half a round trip after it came.
"""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_CHUNK = 1 << 20


@contextmanager
def delayed(port: int, round_trip_ms: float) -> Iterator[int]:
    """The port of a proxy in front of `port`, while the block runs."""
    command = [sys.executable, "-m", "bench.delay", str(port), str(round_trip_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as proxy:
        assert proxy.stdout is not None
        try:
            yield int(proxy.stdout.readline())
        finally:
            proxy.kill()


def _serve(port: int, round_trip_ms: float) -> None:
    half = round_trip_ms / 2000
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            client, _ = listener.accept()
            server = socket.create_connection(("127.0.0.1", port))
            for source, sink in ((client, server), (server, client)):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=_forward, args=(source, sink, half), daemon=True).start()


def _forward(source: socket.socket, sink: socket.socket, seconds: float) -> None:
    while chunk := source.recv(_CHUNK):
        time.sleep(seconds)
        sink.sendall(chunk)
    sink.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    _serve(int(sys.argv[1]), float(sys.argv[2]))
