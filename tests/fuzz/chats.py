"""Bodies of POST /v1/chat/completions: what is read of them can be stored and sent.

An input is the body.
"""

import json
from itertools import pairwise

from pydantic import ValidationError

from functions.turns.chat_body import ChatBody
from functions.turns.chat_reading import Texts, check_sizes, conversation_name, hash_request, is_task, read_texts
from shared.domain.actor import Actor
from shared.errors import InvalidMessage, InvalidRequest, Unsupported
from shared.llm.port import storable

WORDS = (
    *('"model": "writer"', '"messages": [', '{"role": "user", "content": ', '{"role": "assistant", "content": "Hi."}'),
    *('"system"', '"developer"', '"tool"', '[{"type": "text", "text": "a"}]', '{"type": "image_url"}', '"refusal"'),
    *('"metadata": {"session_id": "a"}', '"conversation_id": "b"', '"stream": true', '"n": 2', '"tool_choice": {}'),
    *('"max_tokens": 1', '"temperature": 1e400', "### Task:", "\\u0000", "\\ud83d", "null", " ", "[", "{", ",", "]}"),
)
_ACTOR = Actor("tenant-1", "user-1")
_REFUSED = (InvalidMessage, InvalidRequest, Unsupported)


def attempt(data: bytes) -> None:
    try:
        sent = json.loads(data)
        body = ChatBody.model_validate(sent)
    except (ValueError, ValidationError, RecursionError):
        return
    try:
        name = conversation_name({}, body)
        texts = read_texts(body)
        check_sizes(texts)
        hashed = hash_request(_ACTOR, sent, name)
    except _REFUSED:
        return
    assert name is None or (name == name.strip() and 0 < len(name) <= 255)
    assert hashed == hash_request(_ACTOR, {**sent, "stream": not body.stream}, name)
    assert is_task({"x-openwebui-chat-id": "a"}, texts.message) == texts.message.lstrip().startswith("### Task:")
    _check(texts)


def _check(texts: Texts) -> None:
    """Check that no text is empty, each can be stored, and the speakers of the prompt alternate."""
    said = [texts.message, *(line.content for line in texts.lines), *(each["content"] for each in texts.prompt)]
    assert all(text.strip() and storable(text) == text for text in said)
    assert texts.instructions is None or texts.instructions.strip()
    assert {line.role for line in texts.lines} <= {"user", "assistant"}
    assert all(before["role"] != after["role"] for before, after in pairwise(texts.prompt))
    assert any(texts.message in each["content"] for each in texts.prompt)
