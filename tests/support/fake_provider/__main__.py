"""A fake provider for people: prints its URL, and runs until it is told to stop.

Moods are set over HTTP: curl -d '{"mood": "status", "code": 500, "when": "Critic"}' .../control/rules
"""

import argparse
import signal
import sys
import threading
from pathlib import Path

from tests.support.fake_provider.server import FakeProvider


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.support.fake_provider", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument("--log", type=Path, help="file that gets a JSON line for every request")
    arguments = parser.parse_args()
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    with FakeProvider(arguments.log, arguments.port) as provider:
        sys.stdout.write(f"{provider.url}\n")
        sys.stdout.flush()
        stop.wait()


if __name__ == "__main__":
    main()
