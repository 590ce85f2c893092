"""Read Bedrock's model invocation log in S3: gzipped objects with one JSON record a line, one folder an hour.

Only the log's own objects are read. S3 also has the bodies that were too long for a record, in `data/`, and Bedrock's
test of its write permission.
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
    """The log under `url`, s3://bucket/.../BedrockModelInvocationLogs/<region>. Region, credentials and endpoint come
    from AWS's own variables. Raises boto3's errors."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._bucket, self._prefix = parts.netloc, parts.path.strip("/")
        self._client: Any = None

    def keys(self, hour: datetime, after: str | None = None) -> Iterator[str]:
        """Yield the keys of an hour's objects (UTC) in order, after the key `after`."""
        start = {"StartAfter": after} if after else {}
        # The delimiter leaves out subfolders.
        where = {"Bucket": self._bucket, "Prefix": f"{self._prefix}/{hour:%Y/%m/%d/%H}/", "Delimiter": "/"}
        for page in self._running_client().get_paginator("list_objects_v2").paginate(**where, **start):
            yield from (each["Key"] for each in page.get("Contents", ()) if each["Key"].endswith(_SUFFIX))

    @contextmanager
    def open(self, key: str) -> Iterator[BinaryIO]:
        """Open an object, unpacked as it is read. Reading raises gzip's errors for damaged data."""
        body = self._running_client().get_object(Bucket=self._bucket, Key=key)["Body"]
        with closing(body), gzip.open(body) as unpacked:
            yield cast(BinaryIO, unpacked)

    def _running_client(self) -> Any:
        if self._client is None:
            # A late import, because importing this module must not load boto3.
            import boto3
            from botocore.config import Config

            retries = {"total_max_attempts": 3, "mode": "standard"}
            config = Config(connect_timeout=_CONNECT_S, read_timeout=_READ_S, retries=retries)
            self._client = boto3.session.Session().client("s3", config=config)
        return self._client


@cache
def invocation_log() -> InvocationLog:
    """Return this process's log. It connects at first use."""
    return InvocationLog(invocation_log_settings().invocation_log)
