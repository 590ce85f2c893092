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
from shared.names import Env
from shared.settings import Settings

OPENAI_BASE_URL: Final = "https://api.openai.com/v1"
_DIALECT: Final = Dialect("x-request-id", read_completion)


class OpenAICompatibleProvider:
    """Blocking, and safe to call from any number of threads, that of a running event loop included."""

    def __init__(self, base_url: str, api_key: str | None = None) -> None:
        """`base_url` ends where `/chat/completions` begins. Raises ConfigurationError for a URL or a key that
        no request can carry."""
        self._url = _endpoint(base_url)
        self._headers = {"Content-Type": "application/json"} | _authorization(api_key)
        self._exchanges = Exchanges(_DIALECT)

    @classmethod
    def from_settings(cls, settings: Settings) -> "OpenAICompatibleProvider":
        """Raises ConfigurationError when no base URL is set and the provider has none of its own."""
        base_url = settings.llm_base_url
        if base_url is None and settings.llm_provider == "openai":
            base_url = OPENAI_BASE_URL
        if base_url is None:
            raise ConfigurationError(f"{Env.LLM_BASE_URL}: not set.")
        return cls(base_url, settings.llm_api_key)

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
    if request.model.provider == "openai":  # its GPT-5 family refuses `max_tokens`, and any temperature
        body["max_completion_tokens"] = request.max_output_tokens
    else:
        body["max_tokens"] = request.max_output_tokens
        if request.temperature is not None:
            body["temperature"] = request.temperature
    if request.response_schema is not None:
        wanted = request.response_schema
        hosted = request.model.provider == "openai"
        schema = {"name": "answer", "schema": without_bounds(wanted) if hosted else wanted, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


def _endpoint(base_url: str) -> httpx.URL:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigurationError(f"{Env.LLM_BASE_URL}: not a URL that begins with http:// or https://.")
    return url.copy_with(path=url.path.rstrip("/") + "/chat/completions")


def _authorization(api_key: str | None) -> dict[str, str]:
    if api_key is None:
        return {}
    if not re.fullmatch("[!-~]+", api_key):
        raise ConfigurationError(f"{Env.LLM_API_KEY}: holds characters that no header can carry.")
    return {"Authorization": f"Bearer {api_key}"}
