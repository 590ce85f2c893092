"""Tests the text of a turn's server-sent events."""

import json

import pytest

from functions.server_sent_events import COMMENT, encode, retry
from shared.domain.turn_events import Delta, Event


def test_event_has_its_id_its_name_and_one_line_of_data() -> None:
    written = encode(Event("plan", '{"source":"größe"}', "1.1", None))
    assert written == 'id: 1.1\nevent: plan\ndata: {"source":"größe"}\n\n'.encode()


def test_an_event_without_an_id_has_no_line_for_it() -> None:
    assert encode(Event("reply.reset", '{"position":2}', None, 2)) == b'event: reply.reset\ndata: {"position":2}\n\n'


@pytest.mark.parametrize("text", ["Roses", "", "a\nb\r\nc\rd", '"\\', "größe \N{CRAB}\u2028\x00"])
def test_a_delta_is_one_line_and_keeps_its_text(text: str) -> None:
    name, data, *rest = encode(Delta(3, text)).decode().split("\n")
    assert (name, rest) == ("event: reply.delta", ["", ""])
    assert json.loads(data.removeprefix("data: ")) == {"position": 3, "text": text}


def test_two_deltas_with_the_halves_of_a_character_make_the_character() -> None:
    halves = [encode(Delta(0, half)).decode().split("data: ")[1] for half in ("\ud83e", "\udd80")]
    joined = "".join(json.loads(half)["text"] for half in halves)
    assert joined.encode("utf-16", "surrogatepass").decode("utf-16") == "\N{CRAB}"


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\nevent: turn.ended"])
def test_an_event_refuses_data_of_several_lines(end: str) -> None:
    with pytest.raises(ValueError, match="one line"):
        encode(Event("turn", f"{{}}{end}", "0"))


def test_a_comment_and_a_retry_hold_no_event() -> None:
    assert (COMMENT, retry(200)) == (b":\n\n", b"retry: 200\n\n")
