"""Tests which parts of a chat program's request are read, and which fields are refused by name."""

from typing import Any

import pytest

from functions.turn_schemas import MAX_MESSAGE_CHARACTERS
from functions.turns.chat_body import ChatBody
from functions.turns.chat_reading import (
    MAX_CONVERSATION_CHARACTERS,
    check_sizes,
    conversation_name,
    hash_request,
    is_task,
    read_texts,
)
from shared.domain.actor import Actor
from shared.domain.chat import Line
from shared.errors import InvalidMessage, InvalidRequest, PantheonError, Unsupported

HELLO = {"role": "user", "content": "hello"}
ACTOR = Actor("tenant-1", "user-1")


def body(*messages: dict[str, Any], **fields: Any) -> ChatBody:
    return ChatBody.model_validate({"model": "writer", "messages": list(messages) or [HELLO], **fields})


def refused(error: type[PantheonError], *messages: dict[str, Any], **fields: Any) -> object:
    """The field that the refusal names."""
    with pytest.raises(error) as caught:
        check_sizes(read_texts(body(*messages, **fields)))
    assert type(caught.value) is error
    return caught.value.extra["param"]


def test_texts_of_every_role_are_read() -> None:
    texts = read_texts(
        body(
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": [{"type": "text", "text": "two"}, {"type": "refusal", "refusal": "no"}]},
            {"role": "user", "content": [{"type": "text", "text": "three"}]},
        )
    )
    assert texts.instructions == "Be brief.\n\nBe kind."
    assert texts.lines == (Line("user", "one"), Line("assistant", "two\nno"))
    assert texts.message == "three"
    assert texts.prompt == (
        {"role": "system", "content": "Be brief.\n\nBe kind."},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two\nno"},
        {"role": "user", "content": "three"},
    )


def test_messages_of_tools_and_messages_without_text_are_left_out() -> None:
    called = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    told = {"role": "tool", "tool_call_id": "1", "content": [{"type": "image_url"}]}
    texts = read_texts(body(HELLO, called, told, {"role": "user", "content": " "}, {"role": "user", "content": "on"}))
    assert texts.lines == (Line("user", "hello"),)
    assert [line["content"] for line in texts.prompt] == ["hello\n\n \n\non"]


def test_system_message_after_the_last_message_is_kept() -> None:
    texts = read_texts(body(HELLO, {"role": "system", "content": "Late."}))
    assert (texts.message, texts.instructions) == ("hello", "Late.")


@pytest.mark.parametrize("fields", [{"tools": [{"type": "function"}], "tool_choice": "auto"}, {"n": 1}, {"seed": "x"}])
def test_unsupported_field_is_ignored_when_its_value_asks_for_nothing(fields: dict[str, Any]) -> None:
    assert read_texts(body(**fields)).message == "hello"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice"),
    ],
)
def test_field_that_asks_for_more_than_text_is_unsupported(fields: dict[str, Any], param: str) -> None:
    assert refused(Unsupported, HELLO, **fields) == param


@pytest.mark.parametrize("kind", ["image_url", "input_audio", "file"])
def test_part_that_is_not_text_is_unsupported_with_its_place(kind: str) -> None:
    message = {"role": "user", "content": [{"type": "text", "text": "see"}, {"type": kind}]}
    assert refused(Unsupported, HELLO, {"role": "assistant", "content": "a"}, message) == "messages[2].content[1]"


@pytest.mark.parametrize("content", [7, True, {"type": "text", "text": "x"}])
def test_content_of_another_type_is_refused(content: object) -> None:
    assert refused(InvalidRequest, {"role": "user", "content": content}) == "messages[0].content"


@pytest.mark.parametrize("part", ["text", 7, {}, {"type": "text"}, {"type": "text", "text": 7}, {"type": 7}])
def test_part_of_another_type_is_refused(part: object) -> None:
    assert refused(InvalidRequest, {"role": "user", "content": [part]}) == "messages[0].content[0]"


@pytest.mark.parametrize(
    "last",
    [{"role": "assistant", "content": "a"}, {"role": "tool", "content": "a"}, {"role": "assistant", "content": None}],
)
def test_last_message_must_be_the_users(last: dict[str, Any]) -> None:
    assert refused(InvalidRequest, HELLO, last) == "messages"


def test_request_of_only_system_messages_is_refused() -> None:
    assert refused(InvalidRequest, {"role": "system", "content": "Be brief."}) == "messages"


@pytest.mark.parametrize("content", ["", " \n", None, [], [{"type": "text", "text": ""}]])
def test_empty_message_is_refused(content: object) -> None:
    assert refused(InvalidMessage, HELLO, {"role": "user", "content": content}) == "messages[1].content"


@pytest.mark.parametrize("text", ["a\x00b", "\ud800"])
@pytest.mark.parametrize("role", ["system", "user", "assistant"])
def test_text_that_cannot_be_stored_is_refused_in_every_role(text: str, role: str) -> None:
    assert refused(InvalidMessage, {"role": role, "content": text}, HELLO) == "messages[0].content"


def test_message_has_the_length_limit_of_a_posted_turn() -> None:
    longest = {"role": "user", "content": "x" * MAX_MESSAGE_CHARACTERS}
    check_sizes(read_texts(body(longest)))
    longer = {"role": "user", "content": "x" * (MAX_MESSAGE_CHARACTERS + 1)}
    assert refused(InvalidMessage, longer) == "messages[0].content"
    assert refused(InvalidMessage, longer | {"role": "system"}, HELLO) == "messages"
    assert len(read_texts(body(longer, HELLO)).lines[0].content) == MAX_MESSAGE_CHARACTERS + 1


def test_conversation_over_its_length_limit_is_refused() -> None:
    past = [{"role": "assistant", "content": "x" * (MAX_CONVERSATION_CHARACTERS // 4)}] * 4
    assert refused(InvalidRequest, *past, HELLO) == "messages"
    read_texts(body(*past[1:], HELLO))


@pytest.mark.parametrize(
    ("headers", "fields", "name"),
    [
        ({"x-conversation-id": "a", "x-openwebui-chat-id": "b"}, {}, "a"),
        ({"x-openwebui-chat-id": "b", "x-session-id": "c"}, {}, "b"),
        ({"x-session-id": "c", "x-chat-id": "d"}, {}, "c"),
        ({"x-chat-id": "d"}, {"metadata": {"session_id": "e"}}, "d"),
        ({"x-chat-id": " "}, {"metadata": {"session_id": "e", "conversation_id": "f"}}, "e"),
        ({}, {"metadata": {"conversation_id": "f", "x": 1}, "conversation_id": "g"}, "f"),
        ({}, {"metadata": None, "conversation_id": "g"}, "g"),
        ({}, {"metadata": {"session_id": ""}}, None),
        ({}, {}, None),
    ],
)
def test_conversation_is_named_by_the_first_name(
    headers: dict[str, str], fields: dict[str, Any], name: str | None
) -> None:
    assert conversation_name(headers, body(**fields)) == name


@pytest.mark.parametrize("name", ["x" * 256, "a\x00", "\udc00"])
def test_name_that_cannot_be_kept_is_refused(name: str) -> None:
    assert conversation_name({}, body(conversation_id="x" * 255)) == "x" * 255
    with pytest.raises(InvalidRequest) as caught:
        conversation_name({}, body(metadata={"session_id": name}))
    assert caught.value.extra == {"param": "metadata.session_id"}


@pytest.mark.parametrize(
    ("headers", "message", "asks"),
    [
        ({"x-openwebui-chat-id": "1"}, "### Task:\nGenerate a title.", True),
        ({"x-openwebui-chat-id": "1"}, "Is this a ### Task: or not?", False),
        ({}, "### Task:\nGenerate a title.", False),
    ],
)
def test_request_of_open_webui_itself_is_known_by_header_and_text(
    headers: dict[str, str], message: str, asks: bool
) -> None:
    assert is_task(headers, message) == asks


def test_same_request_has_the_same_hash_however_it_is_delivered() -> None:
    asked = {"model": "writer", "messages": [HELLO], "seed": 1}
    same = hash_request(ACTOR, asked, None)
    assert same == hash_request(ACTOR, {"stream": True, "stream_options": {}, **dict(reversed(asked.items()))}, None)
    others = [
        hash_request(ACTOR, {**asked, "seed": 2}, None),
        hash_request(ACTOR, asked, "name"),
        hash_request(Actor("tenant-1", "user-2"), asked, None),
        hash_request(Actor("tenant-2", "user-1"), asked, None),
    ]
    assert len({same, *others}) == 5


def test_body_that_is_nested_too_deeply_is_refused() -> None:
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(InvalidRequest):
        hash_request(ACTOR, {"x": nested}, None)
    # Python takes a deep list apart without recursion only step by step.
    while nested:
        nested = nested.pop()  # type: ignore[assignment]
