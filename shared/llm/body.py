"""Make the body of a provider's answer readable: its compression, its charset, and the text around its JSON."""

import codecs
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
_GZIP_MAGIC: Final = b"\x1f\x8b"
_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS
_BARE_DEFLATE: Final = -zlib.MAX_WBITS
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CHARSET: Final = re.compile(r"charset=[\"']?([A-Za-z0-9_.:-]{1,40})")
_DECODER: Final = json.JSONDecoder(strict=False)
_DONE: Final = "[DONE]"
_LINE_END: Final = re.compile("\r\n|\r|\n")
# An event of a real stream has some 200 bytes. Millions of tiny ones would take seconds beyond the call's clock.
_MOST_LINES: Final = 100_000


def plain(body: bytes, headers: Mapping[str, str]) -> bytes:
    """The body uncompressed and in UTF-8 without a byte order mark. Empty if it is longer than MAX_BODY_BYTES or
    cannot be uncompressed."""
    body = _uncompressed(body, headers.get("content-encoding", "").strip().lower())
    for mark, charset in _BOMS:
        if body.startswith(mark):
            return _in_utf8(body[len(mark) :], charset)
    named = _CHARSET.search(headers.get("content-type", "")[:200].lower())
    return _in_utf8(body, named[1]) if named else body


def read_document(body: bytes) -> Any:
    """The JSON of an answer's body. A body of server-sent events is put together to the answer that it streams. Raises
    ValueError or RecursionError for anything else."""
    text = body.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if text.startswith(("data:", "event:", ":", "id:", "retry:")):
        return _put_together(_events(text), ended=text.rstrip().endswith(_DONE))
    document, end = _DECODER.raw_decode(text)
    rest = text[end:].strip()
    if rest and rest.removeprefix("data:").strip() != _DONE:
        raise ValueError("more follows the JSON")
    return document


def _uncompressed(body: bytes, encoding: str) -> bytes:
    """We ask for no compression. Some servers and proxies compress all the same, and some do not say so."""
    if encoding == "deflate":
        return _inflated(body, _GZIP_OR_ZLIB) or _inflated(body, _BARE_DEFLATE) or _unless_binary(body)
    if body.startswith(_GZIP_MAGIC):
        return _inflated(body, _GZIP_OR_ZLIB)
    return body


def _inflated(body: bytes, window: int) -> bytes:
    inflater = zlib.decompressobj(window)
    try:
        inflated = inflater.decompress(body, MAX_BODY_BYTES)
    except zlib.error:
        return b""
    # A part of an answer has no count that can be believed.
    return inflated if inflater.eof else b""


def _unless_binary(body: bytes) -> bytes:
    """The body if it was not compressed, whatever its headers say."""
    return body if body.lstrip()[:1] in (b"{", b"[") else b""


def _in_utf8(body: bytes, charset: str) -> bytes:
    try:
        return body.decode(charset, "replace").encode("utf-8", "replace")
    except (LookupError, ValueError):
        # No charset has that name.
        return body


def _events(text: str) -> Iterator[dict[str, Any]]:
    # str.splitlines would also split at characters that JSON may hold.
    lines = _LINE_END.split(text, _MOST_LINES)
    if len(lines) > _MOST_LINES:
        raise ValueError("too many events")
    for line in lines:
        name, _, data = line.partition(":")
        if name == "data" and data.strip() not in ("", _DONE):
            event = _DECODER.decode(data.strip())
            if isinstance(event, dict):
                yield event


def _put_together(events: Iterator[dict[str, Any]], *, ended: bool) -> dict[str, Any]:
    """Join the parts of a streamed completion. If one part is a complete completion, return that part. Raises
    ValueError for an incomplete stream, because its last count is not the count of the call."""
    whole: dict[str, Any] = {}
    said: dict[str, list[str]] = {"content": [], "refusal": [], "reasoning_content": [], "reasoning": []}
    choice: dict[str, Any] = {}
    for event in events:
        whole |= {name: value for name, value in event.items() if name != "choices" and value is not None}
        match event:
            case {"choices": [dict(part), *_]}:
                choice |= {name: value for name, value in part.items() if value is not None}
                for name, pieces in said.items():
                    piece = part["delta"].get(name) if isinstance(part.get("delta"), dict) else None
                    if isinstance(piece, str):
                        pieces.append(piece)
    if choice and "message" not in choice:
        if not (ended or choice.get("finish_reason") or "error" in whole):
            raise ValueError("the stream breaks off")
        choice["message"] = {name: "".join(pieces) for name, pieces in said.items()}
    return whole | {"choices": [choice] if choice else []}
