"""Send a streamed response to the client, piece by piece.

A slow client slows down the function, so that the gateway buffers little. After a disconnect, the server drops the
pieces, and the function continues to its end.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from starlette.types import Send

from local.gateway.event import InvalidResponse, build_start, has_body
from local.gateway.protocol import BrokenEnd
from local.gateway.session import StreamBroken, Streamed


class Streaming:
    """A streamed response. Iterate over it once for the pieces of the body, to the end, or `abandon` it.

    It raises StreamBroken if the body ends too early."""

    def __init__(self, streamed: Streamed, attending: asyncio.Task[None]) -> None:
        self.prelude: Final = streamed.prelude
        self._streamed = streamed
        self._attending = attending

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._streamed

    def abandon(self) -> None:
        """Kill the process if it still writes this response."""
        self._attending.cancel()
        self._streamed.abandon()


async def pass_on(stream: Streaming, send: Send, deadline: float) -> None:
    """Send the response, at most until `deadline` on the event loop's clock.

    Raises:
        InvalidResponse: The head is not valid, and nothing was sent.
        BrokenEnd: A part was sent, and the rest cannot be sent.
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
        # The process has ended, or will end this invocation itself.
        raise BrokenEnd from error
    except TimeoutError as error:
        stream.abandon()
        raise BrokenEnd from error
    except (InvalidResponse, asyncio.CancelledError):
        stream.abandon()
        raise
