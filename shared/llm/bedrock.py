"""Amazon Bedrock, over boto3's Converse and ConverseStream.

boto3 writes and signs a request, and never sends one. Its exceptions do not tell whether a request was sent, and its
timeouts start anew with every read. A wire of ours, with one wall clock, sends the request.
"""

import logging
import threading
from concurrent.futures import Future
from dataclasses import replace
from time import monotonic
from typing import Any, Final

import boto3
import httpx
from botocore.awsrequest import AWSPreparedRequest
from botocore.config import Config

from shared.llm.converse import optional_parts, read_response, write_request
from shared.llm.converse_stream import ConverseStream
from shared.llm.dialects import STREAM, is_streamed
from shared.llm.exchange import Exchanges, Post
from shared.llm.outcomes import Dialect
from shared.llm.port import Completion, OnText, Request
from shared.settings import aws_environment

# Parameters are not validated: they are ours, and it takes a quarter of boto3's time.
_CONFIG: Final = Config(retries={"total_max_attempts": 1, "mode": "standard"}, parameter_validation=False)
_DIALECT: Final = Dialect("x-amzn-requestid", read_response, ConverseStream)


class BedrockProvider:
    """Blocking, and safe to call from any number of threads. Credentials and the endpoint come from AWS's own variables
    and files."""

    def __init__(self, stage: str, region: str | None = None) -> None:
        """`stage` goes along with every call, into Bedrock's invocation log. Without a region, AWS's own variables and
        files name it. Raises ConfigurationError for an environment that allows for no HTTP client."""
        self._stage = stage
        self._region = region
        self._exchanges = Exchanges(_DIALECT)
        self._lock = threading.Lock()
        self._client: Any = None

    def complete(self, request: Request, on_text: OnText | None = None) -> Completion:
        """Send `request` once. Returns within `request.limit_s` seconds and does not raise."""
        stream = on_text is not None
        return self._exchanges.complete(
            request, lambda deadline: self._signed_in_time(request, deadline, stream=stream), on_text
        )

    def close(self) -> None:
        """Close the connections. Calls in flight end with an unknown outcome; the next call connects anew."""
        self._exchanges.close()

    def _signed_in_time(self, request: Request, deadline: float, *, stream: bool) -> Post:
        """Signing may have to fetch credentials, from servers that take their time. It is left behind at the
        deadline, and ends when boto3's own limits end it; all that is lost is a signature."""
        signed: Future[Post] = Future()
        arguments = (request, signed, stream)
        signing = threading.Thread(target=self._sign, args=arguments, name="bedrock-signing", daemon=True)
        signing.start()
        return signed.result(deadline - monotonic())

    def _sign(self, request: Request, signed: Future[Post], stream: bool) -> None:
        optional: frozenset[str] = frozenset()
        try:
            refused = self._exchanges.dialects.refused(request.model.alias)
            written = write_request(request, self._stage, refused)
            optional = optional_parts(written)
            client = self._running_client()
            if stream and is_streamed(request, refused):
                optional |= {STREAM}
                client.converse_stream(**written)
            else:
                client.converse(**written)
        except _Signed as departing:
            signed.set_result(replace(departing.post, optional=optional))
        except Exception as error:  # noqa: BLE001 - it is raised again in the thread that waits
            signed.set_exception(error)
        else:
            signed.set_exception(RuntimeError("boto3 did not ask before sending"))

    def _running_client(self) -> Any:
        with self._lock:
            if self._client is None:
                # Its lines have the prompt and the headers in them.
                logging.getLogger("botocore").setLevel(logging.WARNING)
                # boto3 itself does not read AWS_REGION.
                session = boto3.session.Session(region_name=self._region or aws_environment().region)
                client = session.client("bedrock-runtime", config=_CONFIG)
                for operation in ("Converse", "ConverseStream"):
                    client.meta.events.register(f"before-send.bedrock-runtime.{operation}", _take)
                self._client = client
            return self._client


class _Signed(Exception):
    """Takes a request out of boto3, which was about to send it."""

    def __init__(self, post: Post) -> None:
        super().__init__()
        self.post = post


def _take(request: AWSPreparedRequest, **_: object) -> None:
    headers = {name: value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()}
    raise _Signed(Post(httpx.URL(request.url), headers, request.body))
