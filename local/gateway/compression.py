"""Compress a buffered answer for a client that accepts gzip, as API Gateway does."""

import asyncio
import gzip
import re
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response

from shared.names import COMPRESSED_FROM

# Fast, because this machine also runs the functions.
_LEVEL: Final = 1
_GZIP: Final = re.compile(r"(?:^|,)\s*gzip\s*(?:;\s*q=(?P<weight>[0-9.]+)\s*)?(?=,|$)", re.IGNORECASE)


async def compress(response: Response, headers: Headers) -> None:
    """Compress the body of `response` in place, if the request's `headers` allow it.

    A small body, or a body with a coding, does not change."""
    body = bytes(response.body)
    if len(body) < COMPRESSED_FROM or "content-encoding" in response.headers or not accepts_gzip(headers):
        return
    response.body = await asyncio.to_thread(gzip.compress, body, _LEVEL, mtime=0)
    response.headers["content-length"] = str(len(response.body))
    response.headers["content-encoding"] = "gzip"


def accepts_gzip(headers: Headers) -> bool:
    """Return whether the request names gzip. API Gateway does not compress for `*` or without the header."""
    found = _GZIP.search(",".join(headers.getlist("accept-encoding")))
    return found is not None and float(found["weight"] or 1) > 0
