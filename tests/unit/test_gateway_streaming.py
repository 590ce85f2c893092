"""Tests how the local gateway passes a streamed response on, without a server or processes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from starlette.types import Message

from local.gateway.event import InvalidResponse
from local.gateway.protocol import BrokenEnd
from local.gateway.session import StreamBroken
from local.gateway.streaming import Streaming, pass_on

PRELUDE = {"statusCode": 200, "headers": {"X-A": "1"}, "cookies": ["a=1"]}


class FakeStream:
    """Two pieces, and then what `end` says."""

    def __init__(self, prelude: Any = PRELUDE, end: str = "complete") -> None:
        self.prelude = prelude
        self.abandoned = False
        self._end = end

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"
        if self._end == "broken":
            raise StreamBroken
        if self._end == "never":
            await asyncio.Event().wait()

    def abandon(self) -> None:
        self.abandoned = True


def passed(stream: FakeStream, within_s: float = 5.0) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def inside() -> None:
        deadline = asyncio.get_running_loop().time() + within_s
        try:
            await pass_on(cast(Streaming, stream), send, deadline)
        except BrokenEnd:
            sent.append({"type": "broken"})

    asyncio.run(inside())
    return sent


def test_a_complete_response_is_sent_piece_by_piece() -> None:
    stream = FakeStream()
    start, *body = passed(stream)
    assert start["status"] == 200
    assert start["headers"] == [(b"x-a", b"1"), (b"set-cookie", b"a=1")]
    assert [(message.get("body"), message.get("more_body")) for message in body] == [
        (b"a", True),
        (b"b", True),
        (None, None),
    ]
    assert not stream.abandoned


def test_a_status_without_a_body_has_none() -> None:
    _, *body = passed(FakeStream({"statusCode": 204}))
    assert [message.get("body", b"") for message in body] == [b""]


def test_broken_response_has_no_end_and_its_process_is_kept() -> None:
    stream = FakeStream(end="broken")
    assert [message["type"] for message in passed(stream)][-2:] == ["http.response.body", "broken"]
    assert not stream.abandoned


def test_a_response_over_its_time_has_no_end_and_its_process_is_ended() -> None:
    stream = FakeStream(end="never")
    assert [message["type"] for message in passed(stream, 0.05)][-2:] == ["http.response.body", "broken"]
    assert stream.abandoned


@pytest.mark.parametrize(
    "prelude",
    [
        None,
        [],
        {},
        {"statusCode": 99},
        {"statusCode": "200"},
        {"statusCode": 200, "body": ""},
        {"statusCode": 200, "headers": {"a b": "1"}},
        {"statusCode": 200, "headers": {"a": "1\r\nb: 2"}},
        {"statusCode": 200, "cookies": "a=1"},
        {"statusCode": 200, "cookies": ["a=1\n"]},
        {"statusCode": 200, "cookies": [1]},
    ],
    ids=str,
)
def test_invalid_head_is_not_sent_and_its_process_is_ended(prelude: Any) -> None:
    stream = FakeStream(prelude)
    with pytest.raises(InvalidResponse):
        passed(stream)
    assert stream.abandoned
