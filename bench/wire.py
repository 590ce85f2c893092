"""Measure what one call to a provider takes of this process beside a hand-written exchange of http.client.

    python -m bench.wire              writes its table, from 500 calls of each side
    python -m bench.wire --calls 100 --print

The provider is a process of its own on 127.0.0.1. It answers at once, or after a wait: a process that slept starts with
cold caches, as after a model's answer. Both sides keep their connection, turn about. Processor time is that of all
threads of this process.
"""

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

from bench import report
from bench.turn import WARM_UP
from shared.llm.wire import Wire

COLUMNS = ("the provider answers", "http.client, CPU", "wire, CPU", "ratio", "http.client, time", "wire, time")
WAITS_MS = (0, 20)
_PATH = "/v1/chat/completions"
_HEADERS = {"Content-Type": "application/json", "Authorization": "Bearer bench", "X-Client-Request-Id": "call-1"}
_BODY = json.dumps({"model": "bench", "messages": [{"role": "user", "content": "Who needs it? " * 300}]}).encode()
_ANSWER = json.dumps({"choices": [{"message": {"content": "First find out who needs it. " * 30}}]}).encode()

Call = Callable[[], int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=500, help="calls per side (500)")
    parser.add_argument("--print", action="store_true", help="print the table only")
    given = parser.parse_args()
    rows = [_row(wait_ms, given.calls) for wait_ms in WAITS_MS]
    report.write("wire", COLUMNS, rows, f"{given.calls} calls of each side; medians", only_print=given.print)


def _row(wait_ms: int, calls: int) -> list[str]:
    with _provider(wait_ms) as port, _floor(port) as floor, _wire(port) as wire:
        taken: list[list[tuple[float, float]]] = [[], []]
        for number in range(WARM_UP + calls):
            for call, times in zip((floor, wire), taken, strict=True):
                cpu, wall = time.process_time(), time.perf_counter()
                assert call() == len(_ANSWER)
                if number >= WARM_UP:
                    times.append(((time.process_time() - cpu) * 1000, (time.perf_counter() - wall) * 1000))
    (floor_cpu, floor_ms), (cpu_ms, wall_ms) = (
        [statistics.median(each) for each in zip(*times, strict=True)] for times in taken
    )
    name = f"after {wait_ms} ms" if wait_ms else "at once"
    times_ms = [f"{milliseconds:.2f} ms" for milliseconds in (floor_cpu, cpu_ms, floor_ms, wall_ms)]
    return [name, *times_ms[:2], f"{cpu_ms / floor_cpu:.1f}", *times_ms[2:]]


@contextmanager
def _floor(port: int) -> Iterator[Call]:
    with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:

        def call() -> int:
            connection.request("POST", _PATH, _BODY, _HEADERS)
            return len(connection.getresponse().read())

        yield call


@contextmanager
def _wire(port: int) -> Iterator[Call]:
    url = httpx.URL(f"http://127.0.0.1:{port}{_PATH}")
    with closing(Wire(trust_env=False)) as wire:
        wire.start()
        yield lambda: len(wire.post(url, _HEADERS, _BODY, time.monotonic() + 20).body)


@contextmanager
def _provider(wait_ms: int) -> Iterator[int]:
    """Run a provider during the block, and return its port."""
    command = [sys.executable, "-c", f"from bench.wire import serve; serve({wait_ms})"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as provider:
        assert provider.stdout is not None
        try:
            yield int(provider.stdout.readline())
        finally:
            provider.kill()


def serve(wait_ms: int) -> None:
    """Print a port, and answer every request there after a wait."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(wait_ms / 1000)
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(_ANSWER)}\r\n\r\n"
            self.wfile.write(head.encode() + _ANSWER)

        def log_message(self, *_: object) -> None:
            """Print nothing except the port."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        print(server.server_port, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
