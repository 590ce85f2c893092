"""Holds requests of chat programs to `/v1/chat/completions`, recorded with shorter texts and a few tools."""

from collections.abc import Iterator, Sequence
from typing import Any

from tests.support.stack.chat_client import Message, user

Headers = dict[str, str]
Recorded = tuple[Headers, dict[str, Any]]


def open_webui(chat_id: str, messages: Sequence[Message], model: str) -> Iterator[Recorded]:
    """Open WebUI 0.12.4 at one message of a person: the chat, and then what it asks on its own behalf. It sends the
    chat's id with each request, and no id of the message."""
    headers = {
        "X-OpenWebUI-Auth-Type": "jwt",
        "X-OpenWebUI-User-Name": "Ada",
        "X-OpenWebUI-User-Id": "6ae0fb61-0000-4000-8000-000000000001",
        "X-OpenWebUI-User-Email": "ada@example.org",
        "X-OpenWebUI-User-Role": "admin",
        "X-OpenWebUI-Chat-Id": chat_id,
        "Accept": "*/*",
        "User-Agent": "Python/3.11 aiohttp/3.14.5",
    }
    tools = [_tool(f"builtin_{number}") for number in range(28)]
    yield headers, {"model": model, "messages": list(messages), "stream": True, "tools": tools}
    yield headers, _task(model, "Predict 3-5 useful messages this user might naturally send next.", messages)
    if len(messages) == 1:
        title = _task(model, "Generate a concise title summarizing the chat history.", messages)
        yield headers, {**title, "max_tokens": 1000}
        yield headers, _task(model, "Generate 1-3 broad tags categorizing the main themes.", messages)


def libre_chat(conversation_id: str, messages: Sequence[Message], model: str) -> Recorded:
    """LibreChat, whose endpoint is set up as docs/clients.md says."""
    headers = {"X-Conversation-Id": conversation_id, "x-stainless-lang": "js", "x-stainless-retry-count": "0"}
    body = {"model": model, "messages": list(messages), "user": "6651f0c2a9", "stream": True}
    return headers, {**body, "stream_options": {"include_usage": True}}


def litellm(session_id: str, messages: Sequence[Message], model: str) -> Recorded:
    """The LiteLLM proxy, which passes on its clients' metadata."""
    headers = {"x-litellm-session-id": session_id, "x-stainless-lang": "python", "x-stainless-retry-count": "0"}
    return headers, {"model": model, "messages": list(messages), "metadata": {"session_id": session_id}}


def _task(model: str, task: str, messages: Sequence[Message]) -> dict[str, Any]:
    history = "\n".join(f"{message['role'].upper()}: {message['content']}" for message in messages)
    text = f"### Task:\n{task}\n### Chat History:\n<chat_history>\n{history}\n</chat_history>"
    return {"model": model, "messages": [user(text)], "stream": False}


def _tool(name: str) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
    return {"type": "function", "function": {"name": name, "description": "Look it up.", "parameters": parameters}}
