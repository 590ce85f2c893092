"""Runs a small Lambda Runtime API on 127.0.0.1 that sends events and records each answer as its bytes."""

import json
import queue
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

PATIENCE_S = 30.0
_SECONDS = 60


@dataclass
class Answer:
    """A request to the API after `next`: an answer to an invocation, or an error. `chunks` come one by one; a body with
    a length is one chunk. `ended` is set once the body is complete."""

    path: str
    headers: dict[str, str]
    chunks: list[bytes] = field(default_factory=list)
    came_at: list[float] = field(default_factory=list)
    trailers: dict[str, str] = field(default_factory=dict)
    ended: bool = False

    @property
    def what(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    def add(self, chunk: bytes) -> None:
        self.chunks.append(chunk)
        self.came_at.append(time.monotonic())


class RuntimeApi:
    """Serves the Runtime API at `address`, the value of AWS_LAMBDA_RUNTIME_API.

    With `deaf_after`, it stops reading a streamed answer after that number of chunks, until it is closed.
    """

    def __init__(self, prefix: str = "", deaf_after: int | None = None) -> None:
        self.answers: list[Answer] = []
        self.deaf_after = deaf_after
        self._prefix = f"/{prefix}" if prefix else ""
        self._events: queue.Queue[tuple[str, bytes] | None] = queue.Queue()
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}{self._prefix}"

    def put(self, invocation_id: str, event: object) -> None:
        self._events.put((invocation_id, json.dumps(event).encode()))

    def answer(self, number: int) -> Answer:
        """The answer of this number, from 0, once it is complete."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._complete(number), PATIENCE_S), "no answer"
            return self.answers[number]

    def _complete(self, number: int) -> bool:
        return len(self.answers) > number and self.answers[number].ended

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._closing.set()
        self._events.put(None)
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    # Below, for the handler's threads.

    def next(self) -> tuple[str, bytes] | None:
        return self._events.get()

    def begin(self, answer: Answer) -> None:
        with self._changed:
            self.answers.append(answer)
            self._changed.notify_all()

    def end(self, answer: Answer) -> None:
        with self._changed:
            answer.ended = True
            self._changed.notify_all()

    def strip(self, path: str) -> str:
        assert path.startswith(f"{self._prefix}/2018-06-01/runtime/"), path
        return path.removeprefix(f"{self._prefix}/2018-06-01/runtime/")

    def listen(self, chunks: int) -> None:
        """Wait until the end of the API where it is deaf from now on."""
        if self.deaf_after is not None and chunks >= self.deaf_after:
            self._closing.wait()


def _handler(api: RuntimeApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = api.strip(self.path)
            if path == "restore/next":
                api.begin(Answer(path, {}, ended=True))
                self._reply(200, b"", {})
                return
            assert path == "invocation/next", path
            found = api.next()
            if found is None:
                self.close_connection = True
                return
            invocation_id, event = found
            deadline = str(int((time.time() + _SECONDS) * 1000))
            headers = {
                "Content-Type": "application/json",
                "Lambda-Runtime-Aws-Request-Id": invocation_id,
                "Lambda-Runtime-Invocation-Id": f"{invocation_id} of the platform",
                "Lambda-Runtime-Deadline-Ms": deadline,
                "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:123456789012:function:f",
            }
            self._reply(200, event, headers)

        def do_POST(self) -> None:
            answer = Answer(api.strip(self.path), {name.lower(): value for name, value in self.headers.items()})
            api.begin(answer)
            with suppress(OSError, ValueError):
                if answer.headers.get("transfer-encoding", "").lower() == "chunked":
                    self._read_chunks(answer)
                else:
                    answer.add(self.rfile.read(int(self.headers.get("Content-Length", 0))))
                api.end(answer)
                self._reply(202, b"", {})

        def _read_chunks(self, answer: Answer) -> None:
            api.listen(0)
            while size := int(self.rfile.readline(), 16):
                chunk = self.rfile.read(size)
                if len(chunk) < size or self.rfile.readline() != b"\r\n":
                    raise ValueError("cut off")
                answer.add(chunk)
                api.listen(len(answer.chunks))
            while (line := self.rfile.readline()) not in (b"\r\n", b""):
                name, _, value = line.decode().strip().partition(": ")
                answer.trailers[name.lower()] = value
            if line == b"":
                raise ValueError("cut off")

        def _reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    return Handler
