"""Serves an issuer's discovery document and key set on this machine."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from tests.support.issuer import Issuer


@contextmanager
def serving(keys: Issuer) -> Iterator[str]:
    """The issuer's URL, as long as it answers there."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            discovered = json.dumps({"issuer": url, "jwks_uri": f"{url}/keys"}).encode()
            body = keys.key_set if self.path == "/keys" else discovered
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield url
        finally:
            server.shutdown()
            thread.join()
