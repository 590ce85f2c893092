"""Amazon Bedrock, through boto3's Converse and ConverseStream.

boto3 writes and signs a request, but our own Wire sends it: boto3's exceptions do not tell whether a request was sent,
and its timeouts restart with every read.
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

# The parameters are ours, and validating them takes a quarter of boto3's time.
_CONFIG: Final = Config(retries={"total_max_attempts": 1, "mode": "standard"}, parameter_validation=False)
_DIALECT: Final = Dialect("x-amzn-requestid", read_response, ConverseStream)


class BedrockProvider:
    """Blocking, and safe to call from any number of threads. Credentials and endpoint come from AWS's own variables and
    files."""

    def __init__(self, stage: str, region: str | None = None) -> None:
        """Prepare a provider without a client. `stage` is written into Bedrock's invocation log with every call.
        Without a region, AWS's own variables and files name it. Raises ConfigurationError if the environment prevents
        an HTTP client."""
        self._stage = stage
        self._region = region
        self._exchanges = Exchanges(_DIALECT)
        self._lock = threading.Lock()
        self._client: Any = None

    def complete(self, request: Request, on_text: OnText | None = None) -> Completion:
        stream = on_text is not None
        return self._exchanges.complete(
            request, lambda deadline: self._signed_in_time(request, deadline, stream=stream), on_text
        )

    def close(self) -> None:
        """Close the connections. Calls in flight end with an unknown outcome. The next call connects again."""
        self._exchanges.close()

    def _signed_in_time(self, request: Request, deadline: float, *, stream: bool) -> Post:
        """Sign in another thread, because fetching credentials may take long. After the deadline it is abandoned;
        boto3's own limits end it, and only a signature is lost."""
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
            signed.set_exception(RuntimeError("boto3 did not raise the before-send event"))

    def _running_client(self) -> Any:
        with self._lock:
            if self._client is None:
                # botocore's debug lines hold the prompt and the headers.
                logging.getLogger("botocore").setLevel(logging.WARNING)
                # boto3 itself does not read AWS_REGION.
                session = boto3.session.Session(region_name=self._region or aws_environment().region)
                client = session.client("bedrock-runtime", config=_CONFIG)
                for operation in ("Converse", "ConverseStream"):
                    client.meta.events.register(f"before-send.bedrock-runtime.{operation}", _take)
                self._client = client
            return self._client


class _Signed(Exception):
    """Carries a request out of boto3 before it is sent."""

    def __init__(self, post: Post) -> None:
        super().__init__()
        self.post = post


def _take(request: AWSPreparedRequest, **_: object) -> None:
    headers = {name: value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()}
    raise _Signed(Post(httpx.URL(request.url), headers, request.body))
