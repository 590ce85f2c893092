"""Stream chunks whose text is the time at which they were sent.

A reader in another process can subtract, because CLOCK_MONOTONIC is the same for all processes of a machine.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

CHUNKS: Final = 8
_GAP_S: Final = 0.01
_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_USAGE: Final = {"prompt_tokens": 420, "completion_tokens": 70}


@contextmanager
def clocked_provider() -> Iterator[str]:
    """Run a provider in its own process during the block, and return its base URL."""
    command = [sys.executable, "-c", "from bench.clocked_provider import serve; serve()"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as provider:
        assert provider.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(provider.stdout.readline())}/v1"
        finally:
            provider.kill()


def sent_at(text: str) -> list[int]:
    """Return the times of the chunks in a text, in nanoseconds."""
    return [int(word) for word in text.split()]


def serve() -> None:
    """Print a port, and answer every request there with a stream."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        print(server.server_port, flush=True)
        server.serve_forever()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert asked["stream"]
        self.wfile.write(_HEAD)
        for _ in range(CHUNKS):
            time.sleep(_GAP_S)
            self._send({"choices": [{"index": 0, "delta": {"content": f"{time.monotonic_ns()} "}}]})
        self._send({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        self._send({"choices": [], "usage": _USAGE})
        self._write(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        """Print nothing except the port."""

    def _send(self, chunk: dict[str, object]) -> None:
        self._write(b"data: %b\n\n" % json.dumps({"id": "bench", **chunk}).encode())

    def _write(self, event: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
