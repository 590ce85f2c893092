"""Imports modules, each in a process of its own, and prints the effects of each import as a line of JSON.

    python import_probe.py PRELOADED,... MODULE ...

It imports the preloaded modules once, before the processes fork, because imports of third parties take long.
It uses only the standard library, so that each module loads its own dependencies.
"""

import gc
import importlib
import importlib.metadata
import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Python's audit events for actions outside this process.
_OUTWARD = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "subprocess.Popen")
_reads: set[str] = set()
_events: set[str] = set()
_collections: list[str] = []
_searches: list[object] = []
_distributions = importlib.metadata.distributions


class _Watched(type(os.environ)):  # type: ignore[misc]
    """An environment that records each read. Every reading method of a mapping calls one of these two."""

    def __getitem__(self, name: str) -> str:
        _reads.add(name)
        value: str = super().__getitem__(name)
        return value

    def __iter__(self) -> Iterator[str]:
        _reads.add("*")
        names: Iterator[str] = super().__iter__()
        return names


def _watch(event: str, _: object) -> None:
    if event in _OUTWARD:
        _events.add(event)


def _searching(**where: Any) -> Any:
    _searches.append(where)
    return _distributions(**where)


def _collecting(phase: str, _: object) -> None:
    _collections.append(phase)


def _families() -> list[str]:
    """Return the kinds of open sockets, also of those that C code made."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            with socket.socket(fileno=os.dup(int(entry.name))) as copy:
                found.append(copy.family.name)
        except OSError:
            continue
    return found


def _report(name: str) -> dict[str, Any]:
    error = None
    gc.callbacks.append(_collecting)
    importlib.metadata.distributions = _searching
    try:
        importlib.import_module(name)
    except Exception as raised:  # noqa: BLE001 - any error is a finding
        error = f"{type(raised).__name__}: {raised}"
    return {
        "module": name,
        "error": error,
        "collections": _collections.count("start"),
        "collects": gc.isenabled(),
        "searches": len(_searches),
        "frozen": gc.get_freeze_count(),
        "modules": sorted(sys.modules),
        "reads": sorted(_reads),
        "events": sorted(_events),
        "sockets": _families(),
        "threads": threading.active_count(),
    }


def main() -> int:
    os.environ.__class__ = _Watched
    sys.addaudithook(_watch)
    for name in filter(None, sys.argv[1].split(",")):
        importlib.import_module(name)
    _reads.clear()
    _events.clear()
    for name in sys.argv[2:]:
        if os.fork() == 0:
            sys.stdout.write(json.dumps(_report(name)) + "\n")
            sys.stdout.flush()
            os._exit(0)
        os.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
