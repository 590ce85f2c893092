"""Read the JSON of an answer's body through the text around it, and put a body of server-sent events together."""

import json
from typing import Any, Final

from shared.llm.chat_stream import ChatStream
from shared.llm.server_sent_events import DONE

_DECODER: Final = json.JSONDecoder(strict=False)
# An event of a real stream has some 200 bytes. Millions of tiny ones would take seconds beyond the call's clock.
_MOST_LINES: Final = 100_000


def read_document(body: bytes) -> Any:
    """The JSON of an answer's body. A body of server-sent events is put together to the answer that it streams. Raises
    ValueError or RecursionError for anything else."""
    if ChatStream.begins(body):
        return _put_together(body)
    text = body.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    document, end = _DECODER.raw_decode(text)
    rest = text[end:].strip()
    if rest and rest.removeprefix("data:").strip() != DONE:
        raise ValueError("more follows the JSON")
    return document


def _put_together(body: bytes) -> dict[str, Any]:
    if max(body.count(b"\n"), body.count(b"\r")) > _MOST_LINES:
        raise ValueError("too many events")
    stream = ChatStream()
    stream.take(body)
    return stream.document()
