"""Measure the overhead of a chat completion: Pantheon's local stack beside the LiteLLM proxy.

    python -m bench.peers.gateways    writes its table, from 6 rounds of 3 seconds
    python -m bench.peers.gateways --rounds 2 --print

One agent, a prompt of about 2,000 tokens, and a provider that answers at once. The sides take turns, so that a busy
machine is as busy for each. LiteLLM runs without a database: it keeps no session and no ledger.
"""

import argparse
import http.client
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

from bench import report
from bench.rate import Rate, rate
from local.stack import Stack

ROOT: Final = Path(__file__).parents[2]
COLUMNS: Final = ("", "clients", "median", "p95", "over the provider", "requests/s", "memory at rest")
_KEY: Final = "sk-of-the-bench"
_MESSAGE: Final = "Tell us who needs it, by when, and what is to be decided first. " * 125
_USAGE: Final = {"prompt_tokens": 2000, "completion_tokens": 70, "total_tokens": 2070}
_CHOICE: Final = {"index": 0, "message": {"role": "assistant", "content": "Yes. " * 60}, "finish_reason": "stop"}
_ANSWER: Final = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "usage": _USAGE}
_CONFIG: Final = """
model_list:
  - model_name: "writer"
    litellm_params: {{model: "openai/gpt-5-mini", api_base: "{url}", api_key: "none"}}
"""
_START_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Side:
    """One gateway. `keys` has a user's key for each client. `mib` is the memory at rest, None if unknown."""

    name: str
    port: int
    keys: Sequence[str]
    mib: str = ""

    def ask(self, client: int) -> Iterator[object]:
        """Ask for completions one by one over one connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        headers = {"Authorization": f"Bearer {self.keys[client]}", "Content-Type": "application/json"}
        while True:
            # A new text each time, so that no cache answers.
            message = {"role": "user", "content": f"{uuid4()} {_MESSAGE}"}
            body = json.dumps({"model": "writer", "messages": [message]})
            connection.request("POST", "/v1/chat/completions", body, headers)
            answer = connection.getresponse()
            read = answer.read()
            if answer.status != 200:
                raise SystemExit(f"{self.name}: {answer.status} {read[:300]!r}")
            yield read


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6, help="rounds of 3 seconds for each side and case (6)")
    parser.add_argument("--print", action="store_true", help="print the table only")
    arguments = parser.parse_args()
    with ExitStack() as running:
        sides = _sides(running, Path(running.enter_context(tempfile.TemporaryDirectory())))
        rows = [row for clients in (1, 8) for row in _rows(sides, clients, arguments.rounds)]
    locked = (ROOT / "tests/clients/litellm.txt").read_text()
    version = re.search(r"(?m)^litellm==(\S+)", locked)
    assert version is not None
    what = f"{arguments.rounds} rounds of 3 s for each side; litellm {version[1]}"
    report.write("gateways", COLUMNS, rows, what, only_print=arguments.print)


def _rows(sides: Sequence[Side], clients: int, rounds: int) -> Iterator[list[str]]:
    taken: dict[str, list[Rate]] = {side.name: [] for side in sides}
    for _ in range(rounds):
        for side in sides:
            taken[side.name].append(rate(side.ask, clients, 3.0))
    medians = {name: statistics.median(ms for each in found for ms in each.times) for name, found in taken.items()}
    for side in sides:
        found = sum(taken[side.name][1:], taken[side.name][0])
        over = medians[side.name] - medians["the provider itself"]
        figures = [f"{medians[side.name]:.1f} ms", f"{found.p95_ms:.1f} ms", f"{over:.1f} ms" if over else "—"]
        yield [side.name, str(clients), *figures, f"{found.per_second / rounds:.0f}", side.mib]


def _sides(running: ExitStack, directory: Path) -> Sequence[Side]:
    provider = running.enter_context(_provider())
    url = f"http://127.0.0.1:{provider}/v1"
    earlier = _children()
    stack = running.enter_context(Stack.start(_environ(url, directory)))
    keys = [stack.token(tenant=f"bench-{uuid4()}") for _ in range(8)]
    port = int(stack.url.rpartition(":")[2])
    for key in keys:
        _make_agent(port, key)
    pantheon = Side("Pantheon, with session, journal and ledger", port, keys)
    # The first requests start its processes.
    rate(pantheon.ask, 8, 1.0)
    pantheon = Side(pantheon.name, port, keys, _mib(_children() - earlier))
    proxy, process = running.enter_context(_litellm(url, directory))
    litellm = Side("LiteLLM proxy, without a ledger", proxy, [_KEY] * 8)
    rate(litellm.ask, 8, 1.0)
    litellm = Side(litellm.name, proxy, litellm.keys, _mib({process, *_descendants(process)}))
    return Side("the provider itself", provider, [""] * 8), pantheon, litellm


def _environ(url: str, directory: Path) -> Mapping[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PANTHEON_")}
    ours = {"PORT": "0", "DATA_DIR": str(directory / "data"), "LLM_PROVIDER": "openai", "LLM_BASE_URL": url}
    return inherited | {f"PANTHEON_{name}": value for name, value in {**ours, "LLM_API_KEY": "none"}.items()}


def _make_agent(port: int, key: str) -> None:
    body = {"key": "writer", "name": "Writer", "role_prompt": "You write.", "model_alias": "fast"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection.request("POST", "/api/v1/agents", json.dumps(body), headers)
    assert connection.getresponse().status == 201


@contextmanager
def _provider() -> Iterator[int]:
    """Run a provider that answers at once in its own process, and return its port."""
    command = [sys.executable, "-c", "from bench.peers.gateways import provide; provide()"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def provide() -> None:
    """Print a port, and answer every completion there."""
    import asyncio

    body = json.dumps({**_ANSWER, "choices": [_CHOICE]}).encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = re.search(rb"(?i)content-length: (\d+)", head)
                await reader.readexactly(int(length[1]) if length else 0)
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    asyncio.run(run())


@contextmanager
def _litellm(url: str, directory: Path) -> Iterator[tuple[int, int]]:
    """Start the proxy, and return its port and process once it answers."""
    settings = directory / "config.yaml"
    settings.write_text(_CONFIG.format(url=url))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    proxy = str(ROOT / "build/clients/litellm/bin/litellm")
    command = [proxy, "--config", str(settings), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--telemetry", "False"]
    environ = {"LITELLM_MASTER_KEY": _KEY, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    given = {"HOME": str(directory), "PATH": "/usr/bin:/bin", "NO_PROXY": "127.0.0.1", **environ}
    with (
        (directory / "litellm.log").open("w") as log,
        subprocess.Popen(command, env=given, cwd=directory, stdout=log, stderr=log) as process,
    ):
        try:
            deadline = time.monotonic() + _START_S
            while not _answers(port):
                assert time.monotonic() < deadline, (directory / "litellm.log").read_text()
                time.sleep(0.2)
            yield port, process.pid
        finally:
            process.terminate()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health/liveliness")
        return connection.getresponse().status == 200
    except OSError:
        return False


def _children() -> set[int]:
    return _descendants(os.getpid())


def _descendants(pid: int) -> set[int]:
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            found |= {child, *_descendants(child)}
    return found


def _mib(processes: set[int]) -> str:
    """Describe the memory of the processes, with PostgreSQL's part apart. Shared pages count once."""
    all_, postgres = 0, 0
    for pid in processes:
        found = re.search(r"(?m)^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text())
        assert found is not None
        all_ += int(found[1])
        postgres += int(found[1]) if "postgres" in Path(f"/proc/{pid}/comm").read_text() else 0
    own = f"{(all_ - postgres) / 1024:.0f} MiB"
    return f"{own}, and {postgres / 1024:.0f} MiB for PostgreSQL" if postgres else own


if __name__ == "__main__":
    main()
