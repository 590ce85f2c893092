"""Run a function on Lambda with awslambdaric's loop, and stream its response: python -m functions.runtime HANDLER

Only this module and `runtime.sh` know how Lambda streams from Python. When the managed runtime can stream, remove both,
and the stack's variable AWS_LAMBDA_EXEC_WRAPPER.
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
    """Pass an HTTP response to the client below as a Stream."""

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
        except Exception as error:  # noqa: BLE001 it was reported to the Runtime API, and the next invocation must run
            logger.error("response ended early", extra={"error": type(error).__name__})  # noqa: TRY400
        else:
            if not taken:
                logger.warning("response not taken")


def _one_piece(answer: Mapping[str, Any]) -> Stream:
    """Return a complete HTTP response as a Stream.

    API Gateway accepts only a stream from a route that streams, and the event does not say whether its route does."""
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
