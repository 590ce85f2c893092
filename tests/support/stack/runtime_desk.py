"""Plays a process of the local Runtime API in the test itself."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from local.gateway.runtime_api import RuntimeApi
from local.gateway.session import Invocation, Session

NEXT = "2018-06-01/runtime/invocation/next"
WITHIN_S = 10.0
Answer = tuple[int, dict[str, str], bytes]


class Client:
    """One connection to the Runtime API, with `secret` in its paths."""

    def __init__(self, api: RuntimeApi, session: Session, secret: str | None = None) -> None:
        self._address = api.address(session).partition("/")[0]
        self._secret = session.secret if secret is None else secret

    async def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> None:
        if not hasattr(self, "reader"):
            host, _, port = self._address.partition(":")
            self.reader, self.writer = await asyncio.open_connection(host, int(port))
        fields = {"Host": "x", **({} if "Transfer_Encoding" in headers else {"Content-Length": str(len(body))})}
        lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in {**fields, **headers}.items()]
        self.writer.write(f"{method} /{self._secret}/{path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode() + body)

    async def read(self) -> Answer:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        return int(head[0].split()[1]), fields, await self.reader.readexactly(int(fields["content-length"]))

    async def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        await self.send(method, path, body, **headers)
        return await self.read()


class Desk:
    """The Runtime API, a session for a process, and the connections that were made."""

    def __init__(self, api: RuntimeApi) -> None:
        self.api = api
        self.session = api.open("arn:aws:lambda:local:000000000000:function:echo")
        self._clients: list[Client] = []

    def client(self, secret: str | None = None) -> Client:
        client = Client(self.api, self.session, secret)
        self._clients.append(client)
        return client

    async def close(self) -> None:
        for client in self._clients:
            if hasattr(client, "writer"):
                client.writer.close()
                with suppress(ConnectionError):
                    await client.writer.wait_closed()


def path(invocation_id: str, kind: str = "response") -> str:
    return f"2018-06-01/runtime/invocation/{invocation_id}/{kind}"


def run(scenario: Callable[[Desk], Awaitable[None]]) -> None:
    async def inside() -> None:
        async with asyncio.timeout(WITHIN_S), RuntimeApi() as api:
            desk = Desk(api)
            try:
                await scenario(desk)
            finally:
                await desk.close()

    asyncio.run(inside())


async def delivered(desk: Desk) -> tuple[Client, Invocation]:
    """A process that has got an invocation."""
    client = desk.client()
    await client.send("GET", NEXT)
    await desk.session.asked.wait()
    invocation = desk.session.begin("id-1", b'{"event": 1}', 5.0)
    assert (await client.read())[0] == 200
    return client, invocation
