"""Any server that speaks OpenAI's chat completions: OpenAI itself, llama.cpp's server and most others.

The rule this file protects: one call is one request, and what became of it is told honestly. An outcome is
`unbilled` only if the provider refused the request, or if nothing of it was sent.
"""

import json
import logging
import os
import re
import threading
import time
from collections.abc import Mapping
from typing import Final

import httpx

from shared.catalog import WORKER_SECONDS
from shared.errors import ConfigurationError
from shared.llm.chat_completions import read_completion, word
from shared.llm.port import Completion, Request
from shared.llm.wire import Answer, NotSent, Wire
from shared.names import Env
from shared.settings import Settings

OPENAI_BASE_URL: Final = "https://api.openai.com/v1"

logger = logging.getLogger(__name__)


class OpenAICompatibleProvider:
    """Blocking, and safe to call from any number of threads, that of a running event loop included."""

    def __init__(self, base_url: str, api_key: str | None = None) -> None:
        """`base_url` ends where `/chat/completions` begins. Raises ConfigurationError for a URL or a key that
        no request can carry."""
        self._url = _endpoint(base_url)
        self._headers = {"Content-Type": "application/json"} | _authorization(api_key)
        self._lock = threading.Lock()
        self._wire: Wire | None = None

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
        deadline = time.monotonic() + request.model.max_call_s
        headers = self._headers | {"X-Client-Request-Id": request.call_id}
        try:
            answer = self._running_wire().post(self._url, headers, _body(request), deadline)
            completion, cause = _outcome(answer), f"status {answer.status}"
        except Exception as error:  # noqa: BLE001 - the port promises an outcome, whatever goes wrong
            completion, cause = _failure(error), type(error).__name__
        if completion.status != "succeeded":
            outcome = completion.status, completion.error, cause
            logger.warning("Call %s is %s: %s (%s)", request.call_id, *outcome)
        return completion

    def close(self) -> None:
        """Close the connections. Calls in flight end with an unknown outcome; the next call connects anew."""
        with self._lock:
            wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

    def _running_wire(self) -> Wire:
        with self._lock:
            # A fork takes no threads along: a child would wait for its parent's wire for ever.
            if self._wire is None or self._wire.pid != os.getpid():
                # The environment's proxy leads away from this machine, and a local model is on it.
                self._wire = Wire(trust_env=self._url.host not in ("127.0.0.1", "::1", "localhost"))
            return self._wire


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
        schema = {"name": "answer", "schema": request.response_schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


def _outcome(answer: Answer) -> Completion:
    """What a status means for the bill, whatever else came with it."""
    request_id = word(answer.headers.get("x-request-id"))
    match answer.status:
        case 200:
            return read_completion(answer.body, request_id)
        case 429:
            return Completion(
                "unbilled",
                provider_request_id=request_id,
                error="throttled",
                retry_after_s=_retry_after(answer.headers),
            )
        case status if 300 <= status < 500 and status not in (408, 424):
            return Completion("unbilled", provider_request_id=request_id, error="refused")
        case status if 200 < status < 300:
            return Completion("unknown", provider_request_id=request_id, error="malformed_response")
    return Completion("unknown", provider_request_id=request_id, error="provider_error")


def _failure(error: Exception) -> Completion:
    """What an exception means for the bill. One that nobody foresaw may have come after the sending."""
    match error:
        case NotSent():
            return Completion("unbilled", error="unavailable")
        case TimeoutError():
            return Completion("unknown", error="timeout")
    return Completion("unknown", error="connection_lost")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, at most as many as any function lives; None for a date or for nonsense."""
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return min(seconds, WORKER_SECONDS) if seconds >= 0 else None


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
