"""Bedrock's model invocation log, as it lies in S3: gzipped objects of one JSON record a line, in a folder an hour.

The rule this file protects: only the log's own objects are read. Beside them lie the bodies that were too long for a
record, in `data/`, and what Bedrock writes to try out whether it may.
"""

import gzip
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from functools import cache
from typing import Any, BinaryIO, Final, cast
from urllib.parse import urlsplit

from shared.settings import invocation_log_settings

_SUFFIX: Final = ".json.gz"
_CONNECT_S: Final = 3.0
_READ_S: Final = 20.0


class InvocationLog:
    """The log under `url`, s3://bucket/.../BedrockModelInvocationLogs/<region>. Region, credentials and the endpoint
    come from AWS's own variables. Raises what boto3 raises."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._bucket, self._prefix = parts.netloc, parts.path.strip("/")
        self._client: Any = None

    def keys(self, hour: datetime, after: str | None = None) -> Iterator[str]:
        """The keys of an hour's objects (UTC), in their order, from the one that follows `after` on."""
        start = {"StartAfter": after} if after else {}
        # What is in a folder below is left out.
        where = {"Bucket": self._bucket, "Prefix": f"{self._prefix}/{hour:%Y/%m/%d/%H}/", "Delimiter": "/"}
        for page in self._running_client().get_paginator("list_objects_v2").paginate(**where, **start):
            yield from (each["Key"] for each in page.get("Contents", ()) if each["Key"].endswith(_SUFFIX))

    @contextmanager
    def open(self, key: str) -> Iterator[BinaryIO]:
        """An object, unpacked as it is read. Reading raises what gzip raises of what is no gzip."""
        body = self._running_client().get_object(Bucket=self._bucket, Key=key)["Body"]
        with closing(body), gzip.open(body) as unpacked:
            yield cast(BinaryIO, unpacked)

    def _running_client(self) -> Any:
        if self._client is None:
            # Here and not on top: whoever imports this to name it must not wait for boto3.
            import boto3
            from botocore.config import Config

            retries = {"total_max_attempts": 3, "mode": "standard"}
            config = Config(connect_timeout=_CONNECT_S, read_timeout=_READ_S, retries=retries)
            self._client = boto3.session.Session().client("s3", config=config)
        return self._client


@cache
def invocation_log() -> InvocationLog:
    """This process's log. It connects when it is first used."""
    return InvocationLog(invocation_log_settings().invocation_log)
