"""Tests how a body is read when servers and proxies add bytes around it."""

import gzip
import json
import zlib

import pytest

from shared.llm.body import MAX_BODY_BYTES, plain
from shared.llm.json_body import read_document

TEXT = '{"text": "Grüße 👋"}'
BODY = TEXT.encode()


def bare(body: bytes) -> bytes:
    made = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return made.compress(body) + made.flush()


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (BODY, {}),
        (BODY, {"content-encoding": "identity"}),
        (gzip.compress(BODY, mtime=0), {"content-encoding": "gzip"}),
        (gzip.compress(BODY, mtime=0), {"content-encoding": " X-GZIP "}),
        (gzip.compress(BODY, mtime=0), {}),
        (BODY, {"content-encoding": "gzip"}),
        (zlib.compress(BODY), {"content-encoding": "deflate"}),
        (bare(BODY), {"content-encoding": "deflate"}),
        (BODY, {"content-encoding": "deflate"}),
        (b"\xef\xbb\xbf" + BODY, {}),
        (gzip.compress(b"\xef\xbb\xbf" + BODY, mtime=0), {"content-encoding": "gzip"}),
        (TEXT.encode("utf-16"), {}),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), {"content-type": "application/json"}),
        (TEXT.encode("utf-16-le"), {"content-type": "application/json; charset=UTF-16LE"}),
        (BODY, {"content-type": 'application/json; charset="utf-8"'}),
        (BODY, {"content-type": "application/json; charset=nonsense"}),
        (BODY, {"content-type": "application/json; charset=zlib"}),
    ],
)
def test_body_is_uncompressed_and_decoded_to_utf8(body: bytes, headers: dict[str, str]) -> None:
    assert plain(body, headers) == BODY


def test_body_is_decoded_by_the_charset_of_its_headers() -> None:
    body = '{"text": "café"}'.encode("latin-1")
    assert plain(body, {"content-type": "application/json; charset=ISO-8859-1"}) == '{"text": "café"}'.encode()


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(BODY, mtime=0)[:-9],
        b"\x1f\x8b nothing of the kind",
        gzip.compress(b" " * (MAX_BODY_BYTES + 1), mtime=0),
    ],
    ids=["cut off", "no gzip", "too long"],
)
def test_a_body_that_cannot_be_uncompressed_is_empty(body: bytes) -> None:
    assert plain(body, {"content-encoding": "gzip"}) == b""


@pytest.mark.parametrize("body", ["{0}", " \r\n{0}\n", "\ufeff{0}", "{0}\n\ndata: [DONE]\n\n", "{0}[DONE]"])
def test_document_is_read_when_other_bytes_surround_it(body: str) -> None:
    assert read_document(body.replace("{0}", TEXT).encode()) == {"text": "Grüße 👋"}


@pytest.mark.parametrize("body", ["", "<html>", TEXT + TEXT, TEXT + " and more", "data: {", "[DONE]"])
def test_document_is_refused_when_the_body_is_not_one(body: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 json's own messages
        read_document(body.encode())


def streamed(*events: object, end: str = "\n\n") -> bytes:
    return "".join(f"data: {json.dumps(event)}{end}" for event in events).encode() + b"data: [DONE]\n\n"


def delta(content: str | None, finish_reason: str | None = None, **more: object) -> dict[str, object]:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish_reason}
    return {"id": "chatcmpl-1", "choices": [choice], "usage": None, **more}


@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n", "\n", "\n: a comment\nevent: message\n\n"])
def test_stream_is_joined_into_one_answer(end: str) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    last = {"id": "chatcmpl-1", "choices": [], "usage": usage}
    document = read_document(streamed(delta("Hel"), delta("lo\u2028"), delta(None, "stop"), last, end=end))
    assert document["choices"][0]["message"]["content"] == "Hello\u2028"
    assert document["choices"][0]["finish_reason"] == "stop"
    assert (document["usage"], document["id"]) == (usage, "chatcmpl-1")


def test_a_stream_of_one_whole_answer_is_that_answer() -> None:
    message = {"role": "assistant", "content": "Hello."}
    document = read_document(b": keep-alive\n\n" + streamed({"choices": [{"message": message}], "usage": {}}))
    assert document["choices"][0]["message"] == message


def test_error_in_a_stream_is_kept() -> None:
    document = read_document(streamed(delta("Half"), delta(None, "error", error={"code": 502})))
    assert document["error"] == {"code": 502}
    assert document["choices"][0]["finish_reason"] == "error"
