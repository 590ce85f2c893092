"""Starts a real browser without a window, and the page of another origin that it opens."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final

NAMES: Final = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
# Everything but this machine has no address, so nothing leaves it.
_OPTIONS: Final = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--remote-debugging-port=0", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"),
)


def find() -> str | None:
    """The path of a browser on this machine."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def opened(browser: str, script: str, profile: Path) -> Iterator["SimpleQueue[Any]"]:
    """Open a page at http://localhost that runs `script`. Yields what the script tells by `tell(value)`, in order."""
    heard = SimpleQueue[Any]()

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(f"<!doctype html><meta charset=utf-8><script type=module>{_TELL}{script}</script>".encode())

        def do_POST(self) -> None:
            heard.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._answer(b"")

        def log_message(self, *_: object) -> None:
            """The test tells what it heard."""

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        Thread(target=server.serve_forever).start()
        command = [browser, *_OPTIONS, f"--user-data-dir={profile}", f"http://localhost:{server.server_port}/"]
        try:
            # The command may be a script, and a browser has several processes. As a group they end together.
            with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as process:
                try:
                    yield heard
                finally:
                    os.killpg(process.pid, signal.SIGKILL)
        finally:
            server.shutdown()


# One request after the other, so that their order is that of the calls.
_TELL: Final = """
let told = Promise.resolve();
const tell = value => told = told.then(() => fetch("/", {method: "POST", body: JSON.stringify(value)}));
addEventListener("unhandledrejection", event => tell({failed: String(event.reason)}));
"""
