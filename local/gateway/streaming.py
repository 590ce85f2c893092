"""Pass a streamed response on to the client, piece by piece.

A client that takes nothing holds up the function, so that little is kept here. A client that is gone takes everything
at once: the server drops it, and the function goes on to its end.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from starlette.types import Send

from local.gateway.event import InvalidResponse, build_start, has_body
from local.gateway.protocol import BrokenEnd
from local.gateway.session import StreamBroken, Streamed


class Streaming:
    """Iterate over it once, for the pieces of the body. It raises StreamBroken where that ends too early. The process
    goes on until it has written everything, so read to the end, or `abandon` it."""

    def __init__(self, streamed: Streamed, attending: asyncio.Task[None]) -> None:
        self.prelude: Final = streamed.prelude
        self._streamed = streamed
        self._attending = attending

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._streamed

    def abandon(self) -> None:
        """Kill the process if it still works on this."""
        self._attending.cancel()
        self._streamed.abandon()


async def pass_on(stream: Streaming, send: Send, deadline: float) -> None:
    """Send the whole response until `deadline`, on the event loop's clock.

    Raises:
        InvalidResponse: Nothing was sent.
        BrokenEnd: Something was sent, and the response cannot be completed.
    """
    try:
        start = build_start(stream.prelude)
        async with asyncio.timeout_at(deadline):
            await send(start)
            async for piece in stream:
                if has_body(start["status"]):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body"})
    except StreamBroken as error:
        # Its process is gone, or tells by itself when it is done.
        raise BrokenEnd from error
    except TimeoutError as error:
        stream.abandon()
        raise BrokenEnd from error
    except (InvalidResponse, asyncio.CancelledError):
        stream.abandon()
        raise
