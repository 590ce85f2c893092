"""Listens on 127.0.0.1 in a thread, and serves each connection in its own thread."""

import contextlib
import json
import socket
import struct
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseServer, TCPServer
from typing import TYPE_CHECKING, Any

from tests.support.fake_provider import moods
from tests.support.fake_provider.answer import Answer
from tests.support.fake_provider.moods import Mood, Received
from tests.support.fake_provider.streamed import END, chunked

if TYPE_CHECKING:
    from tests.support.fake_provider.server import FakeProvider

CONTROL = "/control/"
(KEEP_ALIVE,) = chunked([b": wait\n\n"], ended=False)


class Handler(BaseHTTPRequestHandler):
    """Answers `POST …/chat/completions` as the provider.

    The paths under /control/ serve the process that started it: GET log, POST rules, DELETE rules, POST release.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "Listener"

    def do_POST(self) -> None:
        document = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "{}")
        if self.path.partition("?")[0].endswith("/chat/completions"):
            received = Received(self.path, dict(self.headers.items()), document)
            self._deliver(*self.server.provider.receive(received))
        elif self.path == CONTROL + "rules":
            when, times = document.pop("when", ""), document.pop("times", 1)
            mood = getattr(moods, document.pop("mood"))(**document)
            self.server.provider.add(mood, when=when, times=times)
            self._answer_json({})
        elif self.path == CONTROL + "release":
            self.server.provider.release()
            self._answer_json({})
        else:
            self.send_error(404)

    def do_DELETE(self) -> None:
        self.server.provider.clear()
        self._answer_json({})

    def do_GET(self) -> None:
        if self.path == CONTROL + "log":
            self._answer_json([row.as_line() for row in self.server.provider.rows])
        else:
            self.send_error(404)

    def log_message(self, *_: object) -> None:
        """The request log says it better."""

    def _answer_json(self, document: Any) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _deliver(self, mood: Mood, answer: Answer) -> None:
        provider = self.server.provider
        self.close_connection = mood.delivery not in ("whole", "hold", "slow", "stay_open")
        match mood.delivery:
            case "close":
                return
            case "reset":
                self._reset()
                return
            case "trickle_headers":
                self._trickle(b"HTTP/1.1 200 OK\r\nX-Slow: ", mood.seconds)
                return
            case "trickle_body":
                is_stream = b"chunked" in answer.head
                self._trickle(answer.head, mood.seconds, KEEP_ALIVE if is_stream else b" ")
                return
            case "cut_short" if mood.pieces is None:
                self.wfile.write(answer.head + answer.body[: len(answer.body) // 2])
                return
            case "slow":
                provider.closing.wait(mood.seconds)
            case "hold":
                provider.released.wait()
        if provider.closing.is_set():
            self.close_connection = True
        elif mood.stepped:
            self._step(answer)
        elif mood.pause_s:
            self._pace(answer, mood.pause_s)
        else:
            self.wfile.write(answer.head + answer.body)
        if mood.delivery == "stay_open":
            provider.closing.wait()

    def _step(self, answer: Answer) -> None:
        """Write a part after each step that the test takes, and the end of the body with the last one."""
        self.wfile.write(answer.head)
        *parts, end = answer.parts if answer.parts[-1] == END else (*answer.parts, b"")
        for part in parts:
            self.server.provider.steps.acquire()
            if self.server.provider.closing.is_set():
                self.close_connection = True
                return
            self.wfile.write(part)
        self.wfile.write(end)

    def _pace(self, answer: Answer, pause_s: float) -> None:
        self.wfile.write(answer.head)
        for part in answer.parts:
            self.server.provider.closing.wait(pause_s)
            self.wfile.write(part)

    def _trickle(self, start: bytes, seconds: float, drop: bytes = b" ") -> None:
        self.wfile.write(start)
        while not self.server.provider.closing.wait(seconds):
            self.wfile.write(drop)

    def _reset(self) -> None:
        # A linger of zero seconds turns the close into a reset.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


class Listener(ThreadingHTTPServer):
    """Knows its open connections, so that it can end them and wait for their threads."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, provider: "FakeProvider", port: int) -> None:
        self.provider = provider
        self.accepted = 0
        self.open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), Handler)

    def server_bind(self) -> None:
        # HTTPServer would look up the host's name, which may take seconds and is of no use here.
        TCPServer.server_bind(self)

    def process_request(self, request: socket.socket, client_address: tuple[str, int]) -> None:  # type: ignore[override]
        self.accepted += 1
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        super().shutdown_request(request)
        self.open.discard(request)

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            BaseServer.handle_error(self, request, client_address)  # type: ignore[arg-type]

    def close(self) -> None:
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()
