"""Runs a function on Lambda with awslambdaric's own loop, and streams its response: python -m functions.runtime HANDLER

This module and `runtime.sh` are the one place that knows how Lambda's Python streams. Remove both, and the variable
AWS_LAMBDA_EXEC_WRAPPER of the stack, once the managed runtime streams what a handler returns.
"""

import base64
import logging
import sys
from collections.abc import Mapping
from typing import Any, Final

from awslambdaric import bootstrap
from awslambdaric.lambda_config import LambdaConfigProvider
from awslambdaric.lambda_runtime_client import LambdaRuntimeClient
from awslambdaric.lambda_runtime_marshaller import LambdaMarshaller

from functions.chunks import send
from functions.stream import Stream

logger = logging.getLogger("functions.runtime")

_INVOCATION_ID: Final = "Lambda-Runtime-Invocation-Id"


class _Marshaller(LambdaMarshaller):
    """Leaves an HTTP response as a stream for the client below."""

    def marshal_response(self, response: object) -> tuple[Any, str]:
        if isinstance(response, Stream):
            return response, ""
        if isinstance(response, dict) and "statusCode" in response:
            return _one_piece(response), ""
        marshalled: tuple[Any, str] = super().marshal_response(response)
        return marshalled


class _Client(LambdaRuntimeClient):
    marshaller = _Marshaller()

    def post_invocation_result(
        self,
        invoke_id: str,
        result_data: Any,
        content_type: str = "application/json",
        invocation_id: str | None = None,
    ) -> None:
        if not isinstance(result_data, Stream):
            super().post_invocation_result(invoke_id, result_data, content_type, invocation_id)
            return
        headers = {_INVOCATION_ID: invocation_id} if invocation_id else {}
        try:
            taken = send(result_data, self.lambda_runtime_address, invoke_id, headers)
        except Exception as error:  # noqa: BLE001 the Runtime API knows it, and the next invocation is not concerned
            logger.error("response ended early", extra={"error": type(error).__name__})  # noqa: TRY400
        else:
            if not taken:
                logger.warning("response not taken")


def _one_piece(answer: Mapping[str, Any]) -> Stream:
    """A complete HTTP response as a stream. API Gateway reads no other form from a route that streams, and the event
    does not say whether its route does."""
    headers, cookies = dict[str, str](answer.get("headers") or {}), list[str]()
    for name, values in (answer.get("multiValueHeaders") or {}).items():
        headers[name] = ", ".join(values)
        if name == "set-cookie":
            cookies += values
    if "set-cookie" in headers:
        cookies = cookies or [headers["set-cookie"]]
        del headers["set-cookie"]
    text = str(answer.get("body") or "")
    body = base64.b64decode(text) if answer.get("isBase64Encoded") else text.encode()
    return Stream(int(answer["statusCode"]), headers, iter([body]), cookies)


def main() -> None:
    config = LambdaConfigProvider(sys.argv)
    bootstrap.run(config.handler, _Client(config.api_address, config.use_thread_polling))


if __name__ == "__main__":
    main()
