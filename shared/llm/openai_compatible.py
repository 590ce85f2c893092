"""Any server that speaks OpenAI's chat completions: OpenAI itself, llama.cpp's server and most others."""

import json
import re
from typing import Final

import httpx

from shared.errors import ConfigurationError
from shared.llm.chat_completions import read_completion
from shared.llm.exchange import Dialect, Exchanges, Post
from shared.llm.port import Completion, Request
from shared.llm.schema import without_bounds

_DIALECT: Final = Dialect("x-request-id", read_completion)


class OpenAICompatibleProvider:
    """Blocking, and safe to call from any number of threads, that of a running event loop included."""

    def __init__(self, base_url: str, api_key: str | None = None) -> None:
        """`base_url` ends where `/chat/completions` begins. Raises ConfigurationError for a URL or a key that
        no request can carry."""
        self._url = _endpoint(base_url)
        self._headers = {"Content-Type": "application/json"} | _authorization(api_key)
        self._exchanges = Exchanges(_DIALECT)

    def complete(self, request: Request) -> Completion:
        """Send `request` once. Returns within `request.model.max_call_s` seconds and does not raise."""
        headers = self._headers | {"X-Client-Request-Id": request.call_id}
        return self._exchanges.complete(request, lambda _: Post(self._url, headers, _body(request)))

    def close(self) -> None:
        """Close the connections. Calls in flight end with an unknown outcome; the next call connects anew."""
        self._exchanges.close()


def _body(request: Request) -> bytes:
    body: dict[str, object] = {
        "model": request.model.model_id,
        "messages": [{"role": message.role, "content": message.text} for message in request.messages],
    }
    dialect = request.model.dialect
    body[dialect.max_tokens_parameter or "max_tokens"] = request.max_output_tokens
    if request.temperature is not None and dialect.temperature is not False:
        body["temperature"] = request.temperature
    if request.response_schema is not None and dialect.json_schema is not False:
        wanted = request.response_schema
        # Hosted models refuse bounds in a schema. The local one keeps to them.
        kept = wanted if request.model.kind == "local" else without_bounds(wanted)
        schema = {"name": "answer", "schema": kept, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


def _endpoint(base_url: str) -> httpx.URL:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigurationError("base_url: not a URL that begins with http:// or https://.")
    return url.copy_with(path=url.path.rstrip("/") + "/chat/completions")


def _authorization(api_key: str | None) -> dict[str, str]:
    if api_key is None:
        return {}
    if not re.fullmatch("[!-~]+", api_key):
        raise ConfigurationError("api_key: holds characters that no header can carry.")
    return {"Authorization": f"Bearer {api_key}"}
