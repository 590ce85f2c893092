"""Tests the local Runtime API as a process and as a stranger see it."""

import asyncio
import gc
import json
from contextlib import suppress
from typing import Any, Final

import pytest

from local.gateway.session import Buffered, Invocation, StreamBroken, Streamed
from local.gateway.streaming import Streaming
from local.gateway.worker import MAX_PAYLOAD
from tests.support.stack.runtime_desk import NEXT, WITHIN_S, Client, Desk, delivered, path, run


def test_an_invocation_is_delivered_with_lambdas_headers() -> None:
    async def scenario(desk: Desk) -> None:
        client = desk.client()
        await client.send("GET", NEXT)
        await desk.session.asked.wait()
        invocation = desk.session.begin("id-1", b'{"event": 1}', 5.0)
        status, headers, event = await client.read()
        assert (status, event) == (200, b'{"event": 1}')
        assert headers["lambda-runtime-aws-request-id"] == "id-1"
        assert headers["lambda-runtime-deadline-ms"] == str(invocation.deadline_ms)
        assert headers["lambda-runtime-invoked-function-arn"].endswith(":function:echo")
        assert headers["content-type"] == "application/json"
        assert "lambda-runtime-trace-id" in headers

    run(scenario)


@pytest.mark.parametrize("secret", ["", "0" * 32, "other"])
def test_a_wrong_secret_is_404_and_changes_nothing(secret: str) -> None:
    async def scenario(desk: Desk) -> None:
        client, invocation = await delivered(desk)
        other = desk.api.open("arn").secret if secret == "other" else secret
        attempts = (("GET", NEXT), ("POST", path("id-1")), ("POST", path("id-1", "error")))
        for method, asked in attempts:
            # Another process's secret is right for asking for an invocation.
            if (secret, method) != ("other", "GET"):
                expected = 400 if secret == "other" else 404
                assert (await desk.client(other).ask(method, asked, b'"forged"'))[0] == expected
        assert not invocation.answered.done()
        assert (await client.ask("POST", path("id-1"), b'"mine"'))[0] == 202
        assert await invocation.answered == Buffered(True, b'"mine"')

    run(scenario)


def test_a_connection_serves_one_process_only() -> None:
    async def scenario(desk: Desk) -> None:
        _, invocation = await delivered(desk)
        stranger = desk.client(desk.api.open("arn").secret)
        await stranger.ask("POST", path("id-2"))
        stranger._secret = desk.session.secret
        assert (await stranger.ask("POST", path("id-1"), b'"forged"'))[0] == 404
        assert not invocation.answered.done()

    run(scenario)


def test_an_unknown_path_is_404() -> None:
    async def scenario(desk: Desk) -> None:
        for method, asked in (("GET", "2018-06-01/runtime/restore/next"), ("POST", NEXT), ("GET", "x/runtime/y")):
            assert (await desk.client().ask(method, asked))[0] == 404

    run(scenario)


def test_a_target_without_a_path_is_404_and_leaves_no_error_behind() -> None:
    errors: list[dict[str, Any]] = []

    async def scenario(desk: Desk) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, told: errors.append(told))
        host, _, port = desk.api.address(desk.session).partition("/")[0].partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"OPTIONS * HTTP/1.1\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 404")
        writer.close()

    run(scenario)
    gc.collect()
    assert not errors


def test_an_answer_to_another_invocation_is_400_and_changes_nothing() -> None:
    async def scenario(desk: Desk) -> None:
        client, invocation = await delivered(desk)
        assert (await client.ask("POST", path("id-0"), b'"late"'))[0] == 400
        assert (await client.ask("POST", path("id-0", "error"), b'"late"'))[0] == 400
        assert not invocation.answered.done()
        assert (await client.ask("POST", path("id-1"), b'"first"'))[0] == 202
        assert (await client.ask("POST", path("id-1"), b'"second"'))[0] == 400
        assert await invocation.answered == Buffered(True, b'"first"')

    run(scenario)


def test_a_payload_that_is_too_large_is_413_and_the_functions_error() -> None:
    async def scenario(desk: Desk) -> None:
        client, invocation = await delivered(desk)
        assert (await client.ask("POST", path("id-1"), b"x" * (MAX_PAYLOAD + 1)))[0] == 413
        answered = await invocation.answered
        assert isinstance(answered, Buffered)
        assert not answered.succeeded
        assert json.loads(answered.payload)["errorType"] == "Function.ResponseSizeTooLarge"

    run(scenario)


def test_a_process_that_asks_again_without_an_answer_is_lost() -> None:
    async def scenario(desk: Desk) -> None:
        client, invocation = await delivered(desk)
        await client.send("GET", NEXT)
        assert await invocation.answered is None

    run(scenario)


def test_a_process_whose_connection_ends_is_lost_with_its_invocation() -> None:
    async def scenario(desk: Desk) -> None:
        client, invocation = await delivered(desk)
        client.writer.close()
        assert await invocation.answered is None
        assert invocation.was_delivered
        assert not desk.session.is_alive

    run(scenario)


def test_an_invocation_for_a_process_that_is_gone_was_not_delivered() -> None:
    async def scenario(desk: Desk) -> None:
        client = desk.client()
        await client.send("GET", NEXT)
        await desk.session.asked.wait()
        client.writer.close()
        while desk.session.is_alive:
            await asyncio.sleep(0.01)
        invocation = desk.session.begin("id-1", b"1", 5.0)
        assert await invocation.answered is None
        assert not invocation.was_delivered

    run(scenario)


def test_an_invocation_for_a_process_that_never_came_was_not_delivered() -> None:
    async def scenario(desk: Desk) -> None:
        invocation = desk.session.begin("id-1", b"1", 5.0)
        assert await invocation.answered is None
        assert not invocation.was_delivered

    run(scenario)


def test_an_invocation_is_not_delivered_to_a_connection_that_has_ended() -> None:
    async def scenario(desk: Desk) -> None:
        waiting, other = desk.client(), desk.client()
        assert (await other.ask("POST", path("id-0")))[0] == 400
        await waiting.send("GET", NEXT)
        await desk.session.asked.wait()
        waiting.writer.close()
        await waiting.writer.wait_closed()
        await asyncio.sleep(0.05)
        invocation = desk.session.begin("id-1", b"1", 5.0)
        assert await invocation.answered is None
        assert not invocation.was_delivered

    run(scenario)


def test_the_connection_that_asked_last_gets_the_invocation() -> None:
    async def scenario(desk: Desk) -> None:
        older, newer = desk.client(), desk.client()
        for client in (older, newer):
            await client.send("GET", NEXT)
            await asyncio.sleep(0.05)
        desk.session.begin("id-1", b"1", 5.0)
        assert (await newer.read())[0] == 200

    run(scenario)


@pytest.mark.parametrize(
    "sent", [b"\0\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n", b"x" * 200_000], ids=["bytes", "old", "endless"]
)
def test_connection_without_http_is_closed(sent: bytes) -> None:
    async def scenario(desk: Desk) -> None:
        client = desk.client()
        await client.ask("POST", path("id-1"))
        client.writer.write(sent)
        # A connection that is closed with unread bytes is reset.
        with suppress(ConnectionResetError):
            assert await client.reader.read() == b""

    run(scenario)


STREAMING: Final[Any] = {"Lambda_Runtime_Function_Response_Mode": "streaming", "Transfer_Encoding": "chunked"}


class TestStreams:
    async def begun(self, desk: Desk) -> tuple[Client, Invocation, Streamed]:
        """A process that has written the head of its response, over a second connection."""
        _, invocation = await delivered(desk)
        client = desk.client()
        await client.send("POST", path("id-1"), b'11;x=y\r\n{"statusCode":200\r\n', **STREAMING)
        client.writer.write(b"9\r\n}" + bytes(8) + b"\r\n")
        streamed = await invocation.answered
        assert isinstance(streamed, Streamed)
        assert streamed.prelude == {"statusCode": 200}
        return client, invocation, streamed

    def test_pieces_of_a_stream_are_passed_on_in_any_chunks(self) -> None:
        async def scenario(desk: Desk) -> None:
            client, invocation, streamed = await self.begun(desk)
            for sent in (b"2\r\nab\r\n1\r\n", b"c", b"\r\n"):
                client.writer.write(sent)
            pieces = b""
            while len(pieces) < 3:
                pieces += await anext(streamed)
            assert pieces == b"abc"
            assert not invocation.over.done()
            client.writer.write(b"0\r\n\r\n")
            assert [piece async for piece in streamed] == []
            assert await invocation.over
            assert (await client.read())[0] == 202

        run(scenario)

    @pytest.mark.parametrize(
        ("rest", "closes", "is_over"),
        [
            (b"0\r\nLambda-Runtime-Function-Error-Type: ValueError\r\n\r\n", False, True),
            (b"zz\r\n", False, False),
            (b"-1\r\n", False, False),
            (b"1\r\nabc", False, False),
            (b"", True, False),
            (b"5\r\nabc", True, False),
            (b"0\r\n", True, False),
        ],
        ids=ascii,
    )
    def test_an_early_end_breaks_the_stream(self, rest: bytes, closes: bool, is_over: bool) -> None:
        async def scenario(desk: Desk) -> None:
            client, invocation, streamed = await self.begun(desk)
            client.writer.write(b"2\r\nab\r\n" + rest)
            if closes:
                client.writer.close()
            with pytest.raises(StreamBroken):
                assert b"".join([piece async for piece in streamed])
            if is_over:
                assert await invocation.over
            else:
                # The process may have more to do. It tells the end of that by its next request.
                await asyncio.sleep(0)
                assert not invocation.over.done()

        run(scenario)

    def test_a_stream_that_is_abandoned_closes_its_connection(self) -> None:
        async def scenario(desk: Desk) -> None:
            client, _, streamed = await self.begun(desk)
            attending = asyncio.create_task(asyncio.sleep(WITHIN_S))
            Streaming(streamed, attending).abandon()
            assert await client.reader.read() == b""
            with suppress(asyncio.CancelledError):
                await attending
            assert attending.cancelled()

        run(scenario)

    def test_a_process_whose_stream_broke_off_is_sound_once_it_asks_again(self) -> None:
        async def scenario(desk: Desk) -> None:
            process, invocation = await delivered(desk)
            client = desk.client()
            await client.send("POST", path("id-1"), b"a\r\n{}" + bytes(8) + b"\r\n", **STREAMING)
            assert isinstance(await invocation.answered, Streamed)
            client.writer.close()
            assert not invocation.over.done()
            await process.send("GET", NEXT)
            assert await invocation.over

        run(scenario)

    def test_a_process_that_is_gone_in_mid_stream_is_lost(self) -> None:
        async def scenario(desk: Desk) -> None:
            process, invocation = await delivered(desk)
            await process.send("POST", path("id-1"), b"a\r\n{}" + bytes(8) + b"\r\n", **STREAMING)
            assert isinstance(await invocation.answered, Streamed)
            desk.session.end()
            assert not await invocation.over

        run(scenario)

    def test_stream_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("local.gateway.session.MAX_STREAMED", 4)

        async def scenario(desk: Desk) -> None:
            client, _, streamed = await self.begun(desk)
            client.writer.write(b"4\r\nabcd\r\n1\r\ne\r\n0\r\n\r\n")
            assert await anext(streamed) == b"abcd"
            with pytest.raises(StreamBroken):
                await anext(streamed)
            assert await client.reader.read() == b""

        run(scenario)
