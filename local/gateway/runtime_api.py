"""Serve Lambda's Runtime API on 127.0.0.1: processes ask for their next invocation, and post its answer.

The first segment of a process's paths is its own secret, so that no other user of the machine can take or answer an
invocation.
"""

import asyncio
import json
from asyncio import Server, StreamReader, StreamWriter
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, Self

from local.gateway.requests import Body, Head, Malformed, read_head
from local.gateway.session import Buffered, Connection, Session, Streamed
from local.gateway.worker import MAX_PAYLOAD

_HOST: Final = "127.0.0.1"
_VERSION: Final = "2018-06-01"
_PRELUDE_END: Final = bytes(8)
# The bytes in which Lambda looks for the end of a streamed response's head.
_MAX_PRELUDE: Final = 16 * 1024
_NOT_TRACED: Final = "Root=1-00000000-000000000000000000000000;Parent=0000000000000000;Sampled=0"
_OK: Final = {"status": "OK"}
_TOO_LARGE: Final = {
    "errorType": "Function.ResponseSizeTooLarge",
    "errorMessage": f"The response has more than the allowed {MAX_PAYLOAD} bytes.",
}
_UNKNOWN_ID: Final = {"errorType": "InvalidRequestID", "errorMessage": "Invalid request ID"}


class RuntimeApi:
    """The server of the Runtime API, as an async context manager."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._server: Server

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, _HOST, 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def open(self, function_arn: str) -> Session:
        session = Session(function_arn)
        self._sessions[session.secret] = session
        return session

    def close(self, session: Session) -> None:
        self._sessions.pop(session.secret, None)
        session.end()

    def address(self, session: Session) -> str:
        """Return AWS_LAMBDA_RUNTIME_API for the session's process."""
        return f"{_HOST}:{self._server.sockets[0].getsockname()[1]}/{session.secret}"

    def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.create_task(self._serve(Connection(reader, writer)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: Connection) -> None:
        """Answer requests one by one. A connection belongs to the process that used it first."""
        owner: Session | None = None
        try:
            while (head := await read_head(connection.reader)) is not None:
                _, *path = head.target.split("/")
                session = self._sessions.get(path[0]) if path else None
                if session is None or owner not in (None, session):
                    await _reply(connection, HTTPStatus.NOT_FOUND, {})
                    break
                owner = session
                session.opened(connection)
                await _answer(session, connection, head, path[1:])
        except (Malformed, ConnectionError):
            pass
        finally:
            if owner is not None:
                owner.closed(connection)
            connection.writer.close()


async def _answer(session: Session, connection: Connection, head: Head, path: list[str]) -> None:
    if path[:2] != [_VERSION, "runtime"]:
        path = []
    match head.method, path[2:]:
        case "GET", ["invocation", "next"]:
            await _deliver(session, connection)
        case "POST", ["invocation", invocation_id, "response"]:
            if head.headers.get("lambda-runtime-function-response-mode", "").lower() == "streaming":
                await _take_stream(session, connection, head, invocation_id)
            else:
                await _take_payload(session, connection, head, invocation_id, succeeded=True)
        case "POST", ["invocation", invocation_id, "error"]:
            await _take_payload(session, connection, head, invocation_id, succeeded=False)
        case "POST", ["init", "error"]:
            await _reply(connection, HTTPStatus.ACCEPTED, _OK)
            raise Malformed
        case _:
            await _reply(connection, HTTPStatus.NOT_FOUND, {})
            raise Malformed


async def _deliver(session: Session, connection: Connection) -> None:
    invocation = await session.next(connection)
    headers = {
        "Lambda-Runtime-Aws-Request-Id": invocation.id,
        "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
        "Lambda-Runtime-Invoked-Function-Arn": session.function_arn,
        "Lambda-Runtime-Trace-Id": _NOT_TRACED,
    }
    await _write(connection, HTTPStatus.OK, invocation.event, headers)


async def _take_payload(
    session: Session, connection: Connection, head: Head, invocation_id: str, *, succeeded: bool
) -> None:
    payload = await _payload(Body(connection.reader, head))
    invocation = session.owed(invocation_id)
    if invocation is None:
        await _reply(connection, HTTPStatus.BAD_REQUEST, _UNKNOWN_ID)
    elif payload is None:
        invocation.answered.set_result(Buffered(False, json.dumps(_TOO_LARGE).encode()))
        await _reply(connection, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TOO_LARGE)
    else:
        invocation.answered.set_result(Buffered(succeeded, payload))
        await _reply(connection, HTTPStatus.ACCEPTED, _OK)


async def _take_stream(session: Session, connection: Connection, head: Head, invocation_id: str) -> None:
    """Stream the response to the caller. Raises Malformed if it was not read to its end."""
    body = Body(connection.reader, head)
    prelude, first = await _prelude(body)
    invocation = session.owed(invocation_id)
    if invocation is None:
        await _reply(connection, HTTPStatus.BAD_REQUEST, _UNKNOWN_ID)
        raise Malformed
    streamed = Streamed(prelude, first, body)
    invocation.answered.set_result(streamed)
    if not await streamed.was_read:
        raise Malformed
    # Before the reply, because the next request of the process follows it immediately.
    invocation.end(is_sound=True)
    await _reply(connection, HTTPStatus.ACCEPTED, _OK)


async def _prelude(body: Body) -> tuple[Any, bytes]:
    """Return the head of a streamed response, and the first bytes of its body. Raises Malformed."""
    read = b""
    while _PRELUDE_END not in read:
        piece = await body.read()
        if not piece or len(read) > _MAX_PRELUDE:
            raise Malformed
        read += piece
    prelude, _, first = read.partition(_PRELUDE_END)
    try:
        return json.loads(prelude), first
    except ValueError as error:
        raise Malformed from error


async def _payload(body: Body) -> bytes | None:
    """Read the body. Return None if it exceeds the limit of a payload."""
    payload, is_too_large = bytearray(), False
    while piece := await body.read():
        is_too_large = is_too_large or len(payload) + len(piece) > MAX_PAYLOAD
        if not is_too_large:
            payload += piece
    return None if is_too_large else bytes(payload)


async def _reply(connection: Connection, status: HTTPStatus, told: Mapping[str, str]) -> None:
    await _write(connection, status, json.dumps(told).encode(), {})


async def _write(connection: Connection, status: HTTPStatus, body: bytes, headers: Mapping[str, str]) -> None:
    fields = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
    lines = (f"{name}: {value}\r\n" for name, value in fields.items())
    connection.writer.write(f"HTTP/1.1 {status} {status.phrase}\r\n{''.join(lines)}\r\n".encode() + body)
    await connection.writer.drain()
