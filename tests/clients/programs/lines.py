"""The loop that every program in Python shares. Only the standard library: it runs in the client's own environment.

A program reads requests, one line of JSON each, and answers each with a line of JSON: `tests.clients.program` has the
fields.
"""

import json
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

ADDRESS = os.environ["CLIENT_ADDRESS"]
# A client's own waits are much longer. A test must not be.
PATIENCE_S = 60.0

Ask = Callable[[dict[str, Any]], dict[str, Any]]


def serve(list_models: Callable[[str], list[str]], ask: Ask) -> None:
    """Answer lines until they end. `ask` returns the answer to one request, or raises the client's error."""
    for line in sys.stdin:
        asked = json.loads(line)
        if isinstance(asked, dict):
            answer: object = list_models(asked["key"])
        else:
            with ThreadPoolExecutor() as threads:
                answer = list(threads.map(lambda request: _outcome(ask, request), asked))
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _outcome(ask: Ask, request: dict[str, Any]) -> dict[str, Any]:
    try:
        return ask(request)
    except Exception as error:  # noqa: BLE001 the test decides which error is right
        body = getattr(error, "body", None)
        code = body.get("code") if isinstance(body, dict) else None
        told = {"type": type(error).__name__, "status": getattr(error, "status_code", None), "code": code}
        return {"error": {**told, "message": str(error)}}
