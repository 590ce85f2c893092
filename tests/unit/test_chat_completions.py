"""Tests how a chat completion with status 200 is read: strictly for tokens, leniently for text."""

import json
from typing import Any

import pytest

from shared.domain.money import Usage
from shared.llm.chat_completions import MAX_WORD, read_completion

COUNTED = {"prompt_tokens": 10, "completion_tokens": 4}
BIGINT_MAX = 2**63 - 1


def body(usage: object = COUNTED, message: object = None, **members: Any) -> bytes:
    choice = {"index": 0, "message": message or {"content": "Hello."}, "finish_reason": "stop"}
    return json.dumps({"id": "chatcmpl-1", "choices": [choice], "usage": usage} | members).encode()


def test_plain_answer_is_read_with_its_tokens_and_id() -> None:
    completion = read_completion(body(), "req-1")
    assert completion.status == "succeeded"
    assert completion.error is None
    assert completion.text == "Hello."
    assert completion.stop_reason == "end_turn"
    assert completion.usage == Usage(input_tokens=10, output_tokens=4)
    assert completion.provider_request_id == "req-1"


def test_id_is_the_bodys_when_the_headers_have_none() -> None:
    assert read_completion(body()).provider_request_id == "chatcmpl-1"
    assert read_completion(body(id=7)).provider_request_id is None
    assert read_completion(body(id="\x00\ud800" + "x" * 9999)).provider_request_id == "\ufffd" * 2 + "x" * 198


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (
            {**COUNTED, "prompt_tokens_details": {"cached_tokens": 7}},
            Usage(input_tokens=3, cache_read_tokens=7, output_tokens=4),
        ),
        (
            {**COUNTED, "completion_tokens_details": {"reasoning_tokens": 3}},
            Usage(input_tokens=10, output_tokens=1, reasoning_tokens=3),
        ),
        (
            {**COUNTED, "prompt_tokens_details": {"cached_tokens": 10}},
            Usage(input_tokens=0, cache_read_tokens=10, output_tokens=4),
        ),
        (
            {**COUNTED, "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 5}},
            Usage(input_tokens=3, cache_read_tokens=2, cache_write_tokens=5, output_tokens=4),
        ),
        (
            {**COUNTED, "completion_tokens_details": {"reasoning_tokens": 4}},
            Usage(input_tokens=10, output_tokens=0, reasoning_tokens=4),
        ),
        (
            {**COUNTED, "completion_tokens_details": {"reasoning_tokens": 5}},
            Usage(input_tokens=10, output_tokens=4, reasoning_tokens=5),
        ),
        (
            {**COUNTED, "total_tokens": 14, "completion_tokens_details": {"reasoning_tokens": 3}},
            Usage(input_tokens=10, output_tokens=1, reasoning_tokens=3),
        ),
        (
            {**COUNTED, "total_tokens": 17, "completion_tokens_details": {"reasoning_tokens": 3}},
            Usage(input_tokens=10, output_tokens=4, reasoning_tokens=3),
        ),
        (
            {**COUNTED, "total_tokens": 23, "completion_tokens_details": {"reasoning_tokens": 9}},
            Usage(input_tokens=10, output_tokens=4, reasoning_tokens=9),
        ),
        ({**COUNTED, "total_tokens": None}, Usage(10, 4)),
        (
            {
                **COUNTED,
                "prompt_tokens_details": None,
                "completion_tokens_details": {"reasoning_tokens": None},
            },
            Usage(input_tokens=10, output_tokens=4),
        ),
        ({"prompt_tokens": BIGINT_MAX, "completion_tokens": 1}, Usage(BIGINT_MAX, 1)),
    ],
)
def test_tokens_are_split_into_classes_with_the_same_sum(usage: object, expected: Usage) -> None:
    completion = read_completion(body(usage))
    assert completion.status == "succeeded"
    assert completion.usage == expected


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        [],
        "10",
        {"prompt_tokens": 10},
        {"completion_tokens": 10},
        {**COUNTED, "prompt_tokens": -1},
        {**COUNTED, "completion_tokens": -1},
        {**COUNTED, "prompt_tokens": True},
        {**COUNTED, "prompt_tokens": 10.0},
        {**COUNTED, "prompt_tokens": "10"},
        {**COUNTED, "prompt_tokens": None},
        {**COUNTED, "prompt_tokens": BIGINT_MAX + 1},
        {**COUNTED, "completion_tokens": float("nan")},
        {**COUNTED, "prompt_tokens_details": {"cached_tokens": -1}},
        {**COUNTED, "prompt_tokens_details": {"cached_tokens": False}},
        {**COUNTED, "prompt_tokens_details": {"cache_write_tokens": 1.0}},
        {**COUNTED, "prompt_tokens_details": 3},
        {**COUNTED, "completion_tokens_details": {"reasoning_tokens": 1.5}},
        # Contradictions.
        {**COUNTED, "total_tokens": 900},
        {**COUNTED, "total_tokens": 0},
        {**COUNTED, "total_tokens": 13, "completion_tokens_details": {"reasoning_tokens": 3}},
        {**COUNTED, "total_tokens": 14, "completion_tokens_details": {"reasoning_tokens": 5}},
        {**COUNTED, "total_tokens": "14"},
        {**COUNTED, "prompt_tokens_details": {"cached_tokens": 11}},
        {**COUNTED, "prompt_tokens_details": {"cached_tokens": 7, "cache_write_tokens": 5}},
        # Zero tokens for a text.
        {"prompt_tokens": 0, "completion_tokens": 0},
        {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        {"prompt_tokens": 10, "completion_tokens": 0, "total_tokens": 10},
        {"prompt_tokens": 0, "completion_tokens": 4, "total_tokens": 4},
    ],
)
def test_outcome_is_unknown_when_the_count_is_not_credible(usage: object) -> None:
    completion = read_completion(body(usage), "req-1")
    assert (completion.status, completion.error) == ("unknown", "malformed_response")
    assert completion.usage == Usage()
    assert completion.provider_request_id == "req-1"


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"null",
        b"[]",
        b"7",
        b'"usage"',
        b"<!doctype html>",
        b'{"usage": {"prompt_tokens": 1, "completion_tokens"',
        b"[" * 200_000,
        b'{"usage": {"prompt_tokens": ' + b"9" * 5000 + b', "completion_tokens": 1}}',
        b"\x80\x81\xff",
    ],
)
def test_body_that_is_not_a_completion_is_malformed(document: bytes) -> None:
    completion = read_completion(document)
    assert (completion.status, completion.error) == ("unknown", "malformed_response")


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": ""}, ""),
        ({"content": None, "tool_calls": []}, ""),
        ({"content": 7}, ""),
        ({"content": {"type": "text", "text": "fine"}}, "fine"),
        ("no", ""),
        ({"content": "nul \x00 and surrogate \ud83d!"}, "nul \ufffd and surrogate \ufffd!"),
        ({"content": "a pair \ud83d\ude00"}, "a pair \U0001f600"),
        (
            {
                "content": [
                    {"type": "text", "text": "Hel"},
                    {"type": "image", "text": "no"},
                    {"type": "text", "text": 7},
                    "no",
                    {"type": "text", "text": "lo"},
                ]
            },
            "Hello",
        ),
        ({"content": [{"type": "output_text", "text": "fine", "annotations": [{"type": "url_citation"}]}]}, "fine"),
        ({"content": [{"type": "input_text", "text": "fine"}, {"type": "citation", "text": "no"}]}, "fine"),
        ({"content": "fine", "reasoning_content": "no", "reasoning": "no", "thinking": "no"}, "fine"),
        (
            {
                "content": [
                    {"type": "thinking", "thinking": "no", "text": "no"},
                    {"type": "reasoning", "text": "no"},
                    {"type": "text", "text": "fine"},
                ]
            },
            "fine",
        ),
        ({"content": "", "reasoning_content": "Let me think."}, ""),
    ],
)
def test_text_of_any_form_is_an_answer_when_its_tokens_are_counted(message: object, text: str) -> None:
    completion = read_completion(body(message=message))
    assert completion.status == "succeeded"
    assert completion.text == text
    assert completion.usage == Usage(10, 4)


@pytest.mark.parametrize("choices", [None, [], {}, [None], ["no"], [[]]])
def test_an_answer_without_a_choice_is_empty_and_paid_for(choices: object) -> None:
    completion = read_completion(body(choices=choices))
    assert (completion.status, completion.text, completion.stop_reason) == ("succeeded", "", None)
    assert completion.usage == Usage(10, 4)


def test_control_characters_and_invalid_utf8_become_storable() -> None:
    raw = body(message={"content": "@"}).replace(b"@", b"a\x00b\nc\xff\xc3\xa9")
    assert read_completion(raw).text == "a\ufffdb\nc\ufffdé"


@pytest.mark.parametrize(
    "message",
    [
        {"content": "Well, ", "refusal": "No."},
        {"content": [{"type": "text", "text": "Well, "}, {"type": "refusal", "refusal": "No."}]},
    ],
)
def test_a_refusal_has_no_text(message: object) -> None:
    completion = read_completion(body(message=message))
    assert (completion.text, completion.stop_reason) == ("", "content_filtered")


@pytest.mark.parametrize(
    ("finish_reason", "stop_reason"),
    [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("content_filter", "content_filtered"),
        ("STOP", "end_turn"),
        ("eos", "end_turn"),
        ("max_tokens", "max_tokens"),
        ("MAX_TOKENS", "max_tokens"),
        ("tool_calls", "tool_calls"),
        ("function_call", "function_call"),
        ("w\x00rd" + "x" * 9999, "w\ufffdrd" + "x" * (MAX_WORD - 4)),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_stop_reason_is_ours_or_the_providers_word(finish_reason: object, stop_reason: str | None) -> None:
    choice = {"message": {"content": "Hello."}, "finish_reason": finish_reason}
    assert read_completion(body(choices=[choice])).stop_reason == stop_reason


@pytest.mark.parametrize(
    "members",
    [
        {"choices": [{"message": {"content": "Half of"}, "finish_reason": "error"}]},
        {"choices": [{"message": {"content": "Half of"}, "finish_reason": "stop", "error": {"code": 502}}]},
        {"error": {"code": 502, "message": "upstream"}},
    ],
)
def test_an_error_within_a_counted_answer_is_a_failed_attempt_that_is_billed(members: dict[str, Any]) -> None:
    completion = read_completion(body(**members))
    assert (completion.status, completion.error) == ("succeeded", "provider_error")
    assert completion.usage == Usage(10, 4)


THOUGHT = {**COUNTED, "completion_tokens_details": {"reasoning_tokens": 4}}


@pytest.mark.parametrize(
    ("usage", "message"),
    [
        (THOUGHT, {"content": ""}),
        (THOUGHT, {"content": None}),
        (THOUGHT, {"content": " \n"}),
        (COUNTED, {"content": "", "reasoning_content": "Let me think."}),
        (COUNTED, {"content": None, "reasoning": "Let me think."}),
        (COUNTED, {"content": [{"type": "thinking", "thinking": "Let me think."}]}),
    ],
)
def test_answer_that_thinking_used_up_differs_from_an_empty_one(usage: object, message: object) -> None:
    cut = {"message": message, "finish_reason": "length"}
    completion = read_completion(body(usage, choices=[cut]))
    assert (completion.status, completion.error, completion.text.strip()) == ("succeeded", "thinking_only", "")
    # A model that ends by itself may answer when it is asked again.
    assert read_completion(body(usage, choices=[cut | {"finish_reason": "stop"}])).error is None


@pytest.mark.parametrize(
    ("message", "thinking"),
    [
        ({"reasoning_content": "Let me think."}, "Let me think."),
        ({"reasoning": "Let me think."}, "Let me think."),
        ({"thinking": "Let me think."}, "Let me think."),
        ({"reasoning_content": "", "reasoning": "Let me think."}, "Let me think."),
        ({"reasoning": "Once.", "reasoning_details": [{"type": "reasoning.text", "text": "Once."}]}, "Once."),
        ({"reasoning_details": [{"type": "reasoning.text", "text": "Let "}, {"summary": "me."}]}, "Let me."),
        ({"reasoning_details": [{"type": "reasoning.encrypted", "data": "AAAA"}]}, None),
        (
            {"content": [{"type": "thinking", "thinking": "Let me "}, {"type": "thinking", "text": "think."}]},
            "Let me think.",
        ),
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Let"}, 7]}]}, "Let"),
        ({"content": [{"type": "text", "text": "So."}, "no"]}, None),
        ({"reasoning_content": "nul \x00 and surrogate \ud83d!"}, "nul \ufffd and surrogate \ufffd!"),
        ({"reasoning_content": 7, "reasoning": {"text": "no"}, "thinking": True}, None),
        ({"content": "So."}, None),
        (None, None),
    ],
)
def test_thinking_is_read_apart_from_the_text(message: object, thinking: str | None) -> None:
    assert read_completion(body(message=message)).thinking == thinking


def test_thinking_of_a_stream_is_put_together() -> None:
    deltas = ({"reasoning_content": "Let "}, {"reasoning_content": "me."}, {"content": "So."})
    events: list[object] = [{"choices": [{"delta": delta}]} for delta in deltas]
    events.append({"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": COUNTED})
    completion = read_completion("".join(f"data: {json.dumps(event)}\n\n" for event in events).encode())
    assert (completion.text, completion.thinking) == ("So.", "Let me.")


def test_an_answer_that_was_cut_after_thinking_has_its_text() -> None:
    cut = {"message": {"content": "So, "}, "finish_reason": "length"}
    assert read_completion(body(THOUGHT, choices=[cut])).error is None


def test_an_empty_answer_may_have_no_tokens() -> None:
    completion = read_completion(body({"prompt_tokens": 10, "completion_tokens": 0}, {"content": ""}))
    assert (completion.status, completion.usage) == ("succeeded", Usage(10, 0))
