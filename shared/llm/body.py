"""Undo the compression and the charset of a provider's answer."""

import codecs
import re
import zlib
from collections.abc import Mapping
from typing import Final

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


def plain(body: bytes, headers: Mapping[str, str]) -> bytes:
    """Return the body uncompressed, in UTF-8 without a byte order mark. Empty if it is longer than MAX_BODY_BYTES or
    cannot be uncompressed."""
    body = _uncompressed(body, headers.get("content-encoding", "").strip().lower())
    for mark, charset in _BOMS:
        if body.startswith(mark):
            return _in_utf8(body[len(mark) :], charset)
    named = _CHARSET.search(headers.get("content-type", "")[:200].lower())
    return _in_utf8(body, named[1]) if named else body


def _uncompressed(body: bytes, encoding: str) -> bytes:
    """Uncompress a body. Requests ask for no compression, but some servers and proxies compress anyway, some without a
    header."""
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
    # The count of a partial answer cannot be trusted.
    return inflated if inflater.eof else b""


def _unless_binary(body: bytes) -> bytes:
    """Return the body if it was not compressed, despite its headers."""
    return body if body.lstrip()[:1] in (b"{", b"[") else b""


def _in_utf8(body: bytes, charset: str) -> bytes:
    try:
        return body.decode(charset, "replace").encode("utf-8", "replace")
    except (LookupError, ValueError):
        # There is no charset with that name.
        return body
