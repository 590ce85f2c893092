"""Read a chat program's request: the conversation's texts, its options, its name, and the hash of the request.

Only texts of system, developer, user and assistant messages count. Messages of tools and assistant messages without
text are ignored, because chat programs send them from conversations with other models.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from functions.turn_schemas import MAX_MESSAGE_CHARACTERS
from functions.turns.chat_body import ChatBody, ChatMessage
from shared.domain.actor import Actor
from shared.domain.chat import Line
from shared.errors import InvalidMessage, InvalidRequest, Unsupported

# The limit for all texts of one request, in characters.
MAX_CONVERSATION_CHARACTERS: Final = 1_000_000
_NAME_HEADERS: Final = ("x-conversation-id", "x-openwebui-chat-id", "x-session-id", "x-chat-id")
_MAX_NAME_CHARACTERS: Final = 255
# These fields only choose the form of the answer, so the hash of a request ignores them.
_DELIVERY: Final = ("stream", "stream_options")
# Open WebUI begins its own requests (titles, tags, follow-ups) with this.
_TASK: Final = "### Task:"
_TASK_HEADER: Final = "x-openwebui-chat-id"
_IGNORED: Final = ("tool", "function")


class Texts(NamedTuple):
    """The texts of a conversation.

    `message` is the user's last text, at `place` in the body. `lines` are the texts before it. `prompt` has all texts
    with alternating roles, for a plain call."""

    lines: tuple[Line, ...]
    message: str
    place: str
    instructions: str | None
    prompt: tuple[Mapping[str, str], ...]


def read_texts(body: ChatBody) -> Texts:
    """Read the texts of a body. Raises Unsupported, InvalidMessage or InvalidRequest."""
    _refuse_unsupported(body)
    told = list(_told(body.messages))
    if sum(len(text) for _, _, text in told) > MAX_CONVERSATION_CHARACTERS:
        raise InvalidRequest(f"messages have more than {MAX_CONVERSATION_CHARACTERS} characters.", param="messages")
    instructions = "\n\n".join(text for _, role, text in told if role == "system") or None
    spoken = [each for each in told if each[1] != "system"]
    if _last_role(body.messages) != "user":
        raise InvalidRequest("The last message must be the user's.", param="messages")
    index, _, message = spoken[-1]
    place = f"messages[{index}].content"
    if not message.strip():
        raise InvalidMessage("The message is empty.", param=place)
    past = [(role, text) for _, role, text in spoken[:-1] if text.strip()]
    lines = tuple(Line("assistant" if role == "assistant" else "user", text) for role, text in past)
    return Texts(lines, message, place, instructions, _prompt(told))


def check_sizes(texts: Texts) -> None:
    """Check the message and the system messages against the limit of posted turns. Raises InvalidMessage."""
    if len(texts.message) > MAX_MESSAGE_CHARACTERS:
        raise InvalidMessage(f"The message is longer than {MAX_MESSAGE_CHARACTERS} characters.", param=texts.place)
    if len(texts.instructions or "") > MAX_MESSAGE_CHARACTERS:
        detail = f"The system messages have more than {MAX_MESSAGE_CHARACTERS} characters."
        raise InvalidMessage(detail, param="messages")


def conversation_name(headers: Mapping[str, str], body: ChatBody) -> str | None:
    """Return the chat program's name of the conversation, None without one. Raises InvalidRequest."""
    given = [(f"header.{name}", headers.get(name)) for name in _NAME_HEADERS]
    if body.metadata is not None:
        given += [("metadata.session_id", body.metadata.session_id)]
        given += [("metadata.conversation_id", body.metadata.conversation_id)]
    given += [("conversation_id", body.conversation_id)]
    for place, name in given:
        if name and name.strip():
            if len(name) > _MAX_NAME_CHARACTERS or not _is_storable(name):
                detail = f"{place} must be a name of at most {_MAX_NAME_CHARACTERS} characters that can be stored."
                raise InvalidRequest(detail, param=place)
            return name.strip()
    return None


def is_task(headers: Mapping[str, str], message: str) -> bool:
    """Return whether this is Open WebUI's own request for a title, tags or follow-ups."""
    return bool(headers.get(_TASK_HEADER)) and message.lstrip().startswith(_TASK)


def hash_request(actor: Actor, body: Mapping[str, Any], name: str | None) -> bytes:
    """Return the SHA-256 of user, conversation and body, without the fields of delivery. Raises InvalidRequest."""
    asked = {field: value for field, value in body.items() if field not in _DELIVERY}
    content = [actor.tenant_id, actor.user_id, name, asked]
    try:
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).digest()
    except RecursionError as error:
        raise InvalidRequest("The body is nested too deeply.") from error


def _refuse_unsupported(body: ChatBody) -> None:
    if body.n is not None and body.n > 1:
        raise Unsupported("n must be 1: a request has one answer.", param="n")
    if isinstance(body.tool_choice, Mapping) or body.tool_choice == "required":
        raise Unsupported("tool_choice must be 'none' or 'auto': tools are not called.", param="tool_choice")


def _told(messages: Iterable[ChatMessage]) -> Iterator[tuple[int, str, str]]:
    """Yield index, role and text of each message with text. Developer messages are system messages."""
    for index, message in enumerate(messages):
        if message.role in _IGNORED:
            continue
        text = _text(message.content, f"messages[{index}].content")
        if not _is_storable(text):
            detail = f"messages[{index}] holds characters that cannot be stored (NUL or a lone surrogate)."
            raise InvalidMessage(detail, param=f"messages[{index}].content")
        role = "system" if message.role == "developer" else message.role
        if text.strip() or role == "user":
            yield index, role, text


def _text(content: object, place: str) -> str:
    match content:
        case None:
            return ""
        case str():
            return content
        case list():
            return "\n".join(_part(part, f"{place}[{index}]") for index, part in enumerate(content))
    raise InvalidRequest(f"{place} must be a text or a list of parts.", param=place)


def _part(part: object, place: str) -> str:
    match part:
        case {"type": "text" | "input_text" | "output_text", "text": str() as text}:
            return text
        case {"type": "refusal", "refusal": str() as text}:
            return text
        case {"type": "text" | "input_text" | "output_text" | "refusal"}:
            raise InvalidRequest(f"{place} must have a text.", param=place)
        case {"type": str() as kind}:
            raise Unsupported(f"{place} is of the type {kind[:40]!r}. Only text is supported.", param=place)
    raise InvalidRequest(f"{place} must be an object with a type.", param=place)


def _last_role(messages: Sequence[ChatMessage]) -> str | None:
    """Return the role of the last message that is no system message."""
    return next((each.role for each in reversed(messages) if each.role not in ("system", "developer")), None)


def _prompt(told: Iterable[tuple[int, str, str]]) -> tuple[Mapping[str, str], ...]:
    """Return the prompt. Join messages of one role in a row, because providers require alternating roles."""
    prompt = list[dict[str, str]]()
    for _, role, text in told:
        if prompt and prompt[-1]["role"] == role:
            prompt[-1]["content"] += f"\n\n{text}"
        elif text.strip():
            prompt.append({"role": role, "content": text})
    return tuple(prompt)


def _is_storable(text: str) -> bool:
    return "\x00" not in text and (text.isascii() or not any("\ud800" <= each <= "\udfff" for each in text))
