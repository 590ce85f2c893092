"""Tests the bridge from an ASGI application to the answer of a handler."""

import asyncio
import base64
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from fastapi.responses import StreamingResponse
from hypothesis import given
from hypothesis import strategies as st
from mangum import Mangum
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from functions.asgi import BrokenResponse, answer
from functions.http import create_app, streaming_handler
from functions.stream import Stream
from local.gateway.worker import LambdaContext
from tests.support.gateway import LogLines, event

TEXT_TYPES = ("text/", "application/json")
START: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
END: Message = {"type": "http.response.body", "body": b"", "more_body": False}
CONTEXT = LambdaContext("unit", "request-1", 0)

names = st.sampled_from([b"content-type", b"X-One", b"x-one", b"vary", b"set-cookie", b"Set-Cookie", b"location"])
values = st.sampled_from([b"text/plain", b"application/json", b"image/png", b"a=1; Path=/", b"b=2", "ü".encode(), b""])
bodies = st.one_of(st.binary(max_size=20), st.text(max_size=20).map(lambda text: text.encode()))


def part(body: bytes) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": True}


def saying(*messages: Message) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return app


def ask(app: ASGIApp, asked: dict[str, Any] | None = None) -> dict[str, Any] | Stream:
    return answer(app, asked or event("api_get"), CONTEXT, TEXT_TYPES)


def stream_of(app: ASGIApp) -> Stream:
    found = ask(app)
    assert isinstance(found, Stream)
    return found


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    asked = event("api_post")
    asked["httpMethod"] = draw(st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "DELETE"]))
    asked["path"] = draw(st.sampled_from(["/", "/api/v1/models", "/a%2Fb", "/ü", ""]))
    body = draw(bodies)
    asked["isBase64Encoded"] = draw(st.booleans())
    asked["body"] = draw(st.sampled_from([None, base64.b64encode(body).decode()]))
    asked["multiValueHeaders"] = draw(
        st.sampled_from([None, {"Accept": ["a", "b"], "Cookie": ["c=1"]}, {"Host": ["example.test"]}])
    )
    asked["multiValueQueryStringParameters"] = draw(st.sampled_from([None, {"a": ["1", "ü"], "b": [""]}]))
    return asked


class Heard:
    """An application that keeps what it was asked, and then says its messages or raises."""

    def __init__(self, messages: list[Message], raises_at: int | None = None) -> None:
        self.asked: list[object] = []
        self._messages, self._raises_at = messages, raises_at

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked += [dict(scope), await receive()]
        for number, message in enumerate(self._messages):
            if number == self._raises_at:
                raise LookupError("s3cret")
            await send(message)
        if self._raises_at == len(self._messages):
            raise LookupError("s3cret")
        if self._messages and self._messages[-1].get("more_body") is False:
            self.asked.append(await receive())


@given(
    events(),
    st.sampled_from([200, 201, 204, 307, 404, 500]),
    st.lists(st.tuples(names, values), max_size=6),
    st.one_of(st.none(), bodies),
    st.sampled_from([None, 0, 1, 2]),
)
def test_answer_is_mangums_when_the_response_is_complete(
    asked: dict[str, Any],
    status: int,
    headers: list[tuple[bytes, bytes]],
    body: bytes | None,
    raises_at: int | None,
) -> None:
    end: Message = {"type": "http.response.body", "more_body": False} | ({} if body is None else {"body": body})
    messages: list[Message] = [{"type": "http.response.start", "status": status, "headers": headers}, end]
    ours, theirs = Heard(messages, raises_at), Heard(messages, raises_at)
    adapter = Mangum(theirs, lifespan="off", text_mime_types=[*TEXT_TYPES])
    assert answer(ours, asked, CONTEXT, TEXT_TYPES) == adapter(asked, CONTEXT)  # type: ignore[arg-type]
    assert ours.asked == theirs.asked


@given(st.lists(bodies, min_size=1, max_size=5), st.lists(st.tuples(names, values), max_size=6))
def test_answer_streams_the_pieces_that_mangum_joins(pieces: list[bytes], headers: list[tuple[bytes, bytes]]) -> None:
    start: Message = {"type": "http.response.start", "status": 200, "headers": headers}
    app = saying(start, *map(part, pieces), END)
    found = stream_of(app)
    joined = Mangum(app, lifespan="off", text_mime_types=["none"])(event("api_get"), CONTEXT)  # type: ignore[arg-type]
    assert b"".join(found.body) == base64.b64decode(joined["body"])
    several = {name: ", ".join(told) for name, told in joined["multiValueHeaders"].items() if name != "set-cookie"}
    cookie = joined["headers"].pop("set-cookie", None)
    assert found.headers == joined["headers"] | several
    assert list(found.cookies) == joined["multiValueHeaders"].get("set-cookie", [] if cookie is None else [cookie])


def test_stream_runs_on_the_reading_thread_and_only_when_it_reads() -> None:
    said: list[object] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        for number in range(3):
            said.append(number)
            await send(part(b"%d" % number))
        said.append(threading.current_thread())
        await send(END)
        said.append("after the end")

    body = stream_of(app).body
    assert said == [0]
    assert next(body) == b"0"
    assert said == [0], "a blocking application would have kept the piece"
    assert next(body) == b"1"
    assert said == [0, 1]
    assert [next(body), next(body)] == [b"2", b""]
    assert said == [0, 1, 2, threading.current_thread()]
    assert list(body) == []
    assert said[-1] == "after the end"


def test_application_may_wait_for_the_event_loop_between_its_pieces() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.create_task(receive_twice(receive))
        await send(START)
        for piece in (b"a", b"b"):
            await send(part(piece))
            await asyncio.sleep(0.01)
        assert not gone.done()
        await send(END)
        assert (await gone)["type"] == "http.disconnect"

    assert list(stream_of(app).body) == [b"a", b"b", b""]


async def receive_twice(receive: Callable[[], Awaitable[Message]]) -> Message:
    await receive()
    return await receive()


@pytest.mark.parametrize(
    "messages",
    [
        [START, START],
        [part(b"x")],
        [START, {"type": "http.response.trailers"}],
        [{"type": "websocket.accept"}],
        [],
        [START],
    ],
)
def test_answer_is_500_when_the_application_breaks_the_protocol(
    messages: list[Message], log_lines: LogLines, capsys: pytest.CaptureFixture[str]
) -> None:
    found = ask(saying(*messages))
    assert isinstance(found, dict)
    assert (found["statusCode"], found["body"]) == (500, "Internal Server Error")
    (line,) = log_lines()
    assert (line["message"], line["error"]) == ("application failed", "BrokenResponse")
    assert capsys.readouterr().out.count('"Failures":[1.0]') == 1


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ([START, part(b"x")], BrokenResponse),
        ([START, part(b"x"), START, END], BrokenResponse),
        ([START, part(b"x"), {"type": "http.response.push"}], BrokenResponse),
    ],
)
def test_stream_raises_when_the_application_breaks_the_protocol(
    messages: list[Message], error: type, capsys: pytest.CaptureFixture[str]
) -> None:
    body = stream_of(saying(*messages)).body
    assert next(body) == b"x"
    with pytest.raises(error):
        next(body)
    assert capsys.readouterr().out.count('"Failures":[1.0]') == 1


def test_stream_raises_the_exception_of_the_application() -> None:
    body = stream_of(Heard([START, part(b"x"), END], raises_at=2)).body
    assert next(body) == b"x"
    with pytest.raises(LookupError):
        next(body)


def test_exception_after_the_response_is_logged_without_its_text(log_lines: LogLines) -> None:
    assert list(stream_of(Heard([START, part(b"x"), END], raises_at=3)).body) == [b"x", b""]
    complete = ask(Heard([START, END], raises_at=2))
    assert isinstance(complete, dict)
    assert complete["statusCode"] == 200
    assert [(line["message"], line["error"]) for line in log_lines()] == [("application failed", "LookupError")] * 2
    assert "s3cret" not in str(log_lines())


def test_a_message_after_the_end_is_refused() -> None:
    refused: list[Exception] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in (START, part(b"x"), END):
            await send(message)
        try:
            await send(END)
        except BrokenResponse as error:
            refused.append(error)

    assert list(stream_of(app).body) == [b"x", b""]
    assert len(refused) == 1


class TestClosing:
    def test_closing_cancels_the_application_and_waits_for_its_end(self) -> None:
        ended = list[str]()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                await send(START)
                await send(part(b"x"))
                ended.append("not cancelled")
            finally:
                await asyncio.sleep(0.01)
                ended.append("cleaned up")

        for taken in (0, 1):
            ended.clear()
            body = stream_of(app).body
            for _ in range(taken):
                next(body)
            close(body)
            assert ended == ["cleaned up"]
            close(body)

    def test_application_that_sends_on_is_refused(self) -> None:
        errors = list[type[BaseException]]()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send(START)
            try:
                await send(part(b"x"))
            except asyncio.CancelledError:
                try:
                    await send(part(b"y"))
                except OSError as error:
                    errors.append(type(error))

        body = stream_of(app).body
        close(body)
        assert errors == [OSError]

    def test_next_request_is_answered_on_the_same_loop(self) -> None:
        loops = list[asyncio.AbstractEventLoop]()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            loops.append(asyncio.get_running_loop())
            for message in (START, part(b"x"), END):
                await send(message)

        close(stream_of(app).body)
        assert list(stream_of(app).body) == [b"x", b""]
        assert isinstance(ask(saying(START, END)), dict)
        assert loops[0] is loops[1]


def close(body: Iterator[bytes]) -> None:
    body.close()  # type: ignore[attr-defined]


def test_exception_after_the_start_reaches_the_reader_and_the_log(
    log_lines: LogLines, capsys: pytest.CaptureFixture[str]
) -> None:
    """The application of a function answers 500 to an exception, unless its response has started."""
    app = create_app("unit")

    async def pieces() -> AsyncIterator[bytes]:
        yield b"x"
        raise LookupError("s3cret")

    @app.get("/api/v1/models")
    async def stream() -> StreamingResponse:
        return StreamingResponse(pieces())

    found = streaming_handler(app)(event("api_get"), CONTEXT)
    assert isinstance(found, Stream)
    assert next(found.body) == b"x"
    with pytest.raises(LookupError):
        next(found.body)
    (line,) = log_lines()
    assert (line["message"], line["cause"]["type"]) == ("unexpected error", "LookupError")
    assert "s3cret" not in str(line)
    printed = capsys.readouterr().out
    assert '"UnexpectedErrors":[1.0]' in printed
    assert printed.count('"Failures":[1.0]') == 1
