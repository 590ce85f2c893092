"""Starts a PostgreSQL server in another process, and reads its state."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

DEADLINE_S = 30.0
NO_FSYNC = {"fsync": "off"}
ROOT = Path(__file__).parents[2]

LAUNCHER = """
import json, signal, sys
from pathlib import Path
from local.postgres import PostgresError, start
try:
    server = start(Path(sys.argv[1]))
    print(json.dumps({"pid": server.pid, "url": server.url}), flush=True)
except PostgresError as error:
    print(json.dumps({"error": str(error)}), flush=True)
signal.pause()
"""


@contextmanager
def launching(data_dir: Path, python: str = sys.executable, **how: Any) -> Iterator[subprocess.Popen[str]]:
    command = [python, "-c", LAUNCHER, str(data_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **{"cwd": ROOT, **how}) as launcher:
        try:
            yield launcher
        finally:
            launcher.kill()


def told(launcher: subprocess.Popen[str]) -> dict[str, Any]:
    assert launcher.stdout is not None
    answer: dict[str, Any] = json.loads(launcher.stdout.readline())
    return answer


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def execute(url: str, *statements: str) -> list[Any]:
    """Run and commit the statements; the rows of the last one."""
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def write_row(url: str) -> None:
    execute(url, "create table kept (n int)", "insert into kept values (7)")


def rows(url: str) -> list[Any]:
    return execute(url, "select n from kept")


def setting(url: str, name: str) -> str:
    [(value,)] = execute(url, f"show {name}")
    return str(value)
