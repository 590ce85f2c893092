"""Any server with OpenAI's chat completions: OpenAI itself, llama.cpp's server and most others."""

import json
import re
from collections.abc import Collection, Mapping
from typing import Final

import httpx

from shared.errors import ConfigurationError
from shared.llm.chat_completions import read_completion
from shared.llm.chat_stream import ChatStream
from shared.llm.dialects import OPTIONAL, cache_key, cap_name, is_streamed, reasoning_effort, schema, temperature
from shared.llm.exchange import Exchanges, Post
from shared.llm.outcomes import Dialect
from shared.llm.port import Completion, OnText, Request
from shared.llm.schema import without_bounds

_DIALECT: Final = Dialect("x-request-id", read_completion, ChatStream)
_MAX_PORT: Final = 65535


class OpenAICompatibleProvider:
    """Blocking, and safe to call from any number of threads, including that of a running event loop."""

    def __init__(self, base_url: str, api_key: str | None = None) -> None:
        """`base_url` is the part before `/chat/completions`. Raises ConfigurationError for a URL or a key that no
        request can carry, and if the environment prevents an HTTP client."""
        self._url = _endpoint(base_url)
        self._headers = {"Content-Type": "application/json"} | _authorization(api_key)
        secrets = (api_key, self._url.password, self._url.query.decode("ascii", "replace"))
        self._exchanges = Exchanges(_DIALECT, self._url.host, tuple(filter(None, secrets)))

    def complete(self, request: Request, on_text: OnText | None = None) -> Completion:
        headers = self._headers | {"X-Client-Request-Id": request.call_id}
        return self._exchanges.complete(request, lambda _: self._post(request, headers, on_text), on_text)

    def _post(self, request: Request, headers: Mapping[str, str], on_text: OnText | None) -> Post:
        refused = self._exchanges.dialects.refused(request.model.alias)
        body = write_body(request, refused)
        if on_text is not None and is_streamed(request, refused):
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        sent = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        return Post(self._url, headers, sent, OPTIONAL & body.keys())

    def close(self) -> None:
        """Close the connections. Calls in flight end with an unknown outcome. The next call connects again."""
        self._exchanges.close()


def write_body(request: Request, refused: Collection[str] = ()) -> dict[str, object]:
    """Return the JSON of a chat completion's request, without the refused parts."""
    body: dict[str, object] = {
        "model": request.model.model_id,
        "messages": [{"role": message.role, "content": message.text} for message in request.messages],
        cap_name(request, refused): request.max_output_tokens,
    }
    if (degrees := temperature(request, refused)) is not None:
        body["temperature"] = degrees
    if (effort := reasoning_effort(request, refused)) is not None:
        body["reasoning_effort"] = effort
    if (key := cache_key(request, refused)) is not None:
        body["prompt_cache_key"] = key
    if (wanted := schema(request, refused, "response_format")) is not None:
        # Hosted models refuse bounds in a schema. The local one enforces them.
        kept = wanted if request.model.kind == "local" else without_bounds(wanted)
        answer = {"name": "answer", "schema": kept, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": answer}
    return body


def _endpoint(base_url: str) -> httpx.URL:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigurationError("base_url: not a URL that begins with http:// or https://.")
    if url.port is not None and not 0 < url.port <= _MAX_PORT:
        raise ConfigurationError(f"base_url: {url.port} is not a port; use a number from 1 to {_MAX_PORT}.")
    return url.copy_with(path=url.path.rstrip("/") + "/chat/completions")


def _authorization(api_key: str | None) -> dict[str, str]:
    if api_key is None:
        return {}
    if not re.fullmatch("[!-~]+", api_key):
        raise ConfigurationError("api_key: has characters that a header cannot carry.")
    return {"Authorization": f"Bearer {api_key}"}
