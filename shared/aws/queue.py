"""Send turns to the queues of the worker and of the function for graphs.

A turn that could not be sent is not lost: its row says that it waits, and the sweeper sends it when it is due. So a
message is sent once, with a short timeout, and a failure is only logged and counted.
"""

import logging
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from shared.domain.message import TurnMessage
from shared.settings import queue_settings

logger = logging.getLogger(__name__)

# SQS's limit for one request.
_BATCH: Final = 10
# Short timeouts in seconds, because a client waits for its 202.
_CONNECT_S: Final = 1.0
_READ_S: Final = 2.0


class Queue:
    """An SQS queue. Without a `url`, nothing is sent, and the turns' rows are the queue. Region, credentials and
    endpoint come from AWS's own variables."""

    def __init__(self, url: str | None) -> None:
        self._url = url
        self._client: Any = None

    def send(self, messages: Sequence[TurnMessage], wait_s: float = 0.0) -> int:
        """Send each message once, to be delivered in `wait_s` seconds. Returns how many were not sent; never raises.
        After a refused request, the rest is not tried."""
        if self._url is None:
            return 0
        unsent = 0
        for start in range(0, len(messages), _BATCH):
            batch = messages[start : start + _BATCH]
            try:
                unsent += self._send(batch, wait_s)
            except Exception as error:  # noqa: BLE001 - whatever it is: the turns' rows still say that they wait
                logger.warning("turns not sent", extra={"error": type(error).__name__, "code": _code(error)})
                return unsent + len(messages) - start
        return unsent

    def _send(self, batch: Sequence[TurnMessage], wait_s: float) -> int:
        # Whole seconds. The worker waits for the remaining fraction.
        delay = {"DelaySeconds": int(wait_s)} if wait_s >= 1 else {}
        # On a standard queue, a group makes SQS deliver messages of quiet tenants first. It keeps no order.
        entries = [
            {"Id": str(number), "MessageBody": message.as_json(), "MessageGroupId": message.group, **delay}
            for number, message in enumerate(batch)
        ]
        answer = self._running_client().send_message_batch(QueueUrl=self._url, Entries=entries)
        failed = answer.get("Failed") or ()
        for failure in failed:
            logger.warning("turn not sent", extra={"code": failure["Code"]})
        return len(failed)

    def _running_client(self) -> Any:
        if self._client is None:
            # A late import, because most invocations send nothing.
            import boto3
            from botocore.config import Config

            once = {"total_max_attempts": 1, "mode": "standard"}
            config = Config(connect_timeout=_CONNECT_S, read_timeout=_READ_S, retries=once)
            self._client = boto3.session.Session().client("sqs", config=config)
        return self._client


def _code(error: Exception) -> str | None:
    match getattr(error, "response", None):
        case {"Error": {"Code": str(code)}}:
            return code
    return None


@cache
def queue() -> Queue:
    """Return this process's queue of the worker. It connects at first use."""
    return Queue(queue_settings().queue_url)


@cache
def graphs_queue() -> Queue:
    """Return this process's queue of the function for graphs, else the worker's, because the worker ends turns that are
    left of graphs. It connects at first use."""
    urls = queue_settings()
    return Queue(urls.graphs_queue_url or urls.queue_url)
