"""Keep the issuer's key set (JWKS) as one document: an object in S3, or a file on a developer's machine."""

from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

# Imported early, because the authorizer's snapshot holds it.
import boto3
from botocore.config import Config

# In bytes. A set of a hundred RSA keys has half of this.
MAX_BYTES: Final = 64 * 1024
_CONNECT_S: Final = 2.0
_READ_S: Final = 2.0


class JwksStore:
    """The document at `url`, `s3://bucket/key` or `file:///path`. Region and credentials come from AWS's variables."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._client: Any = None

    def read(self) -> bytes:
        """Return the document, cut off one byte after MAX_BYTES. Raises OSError, or boto3's errors."""
        if self._parts.scheme == "file":
            with Path(unquote(self._parts.path)).open("rb") as file:
                return file.read(MAX_BYTES + 1)
        body = self._s3().get_object(**self._object)["Body"]
        try:
            read: bytes = body.read(MAX_BYTES + 1)
        finally:
            body.close()
        return read

    def write(self, document: bytes) -> None:
        """Replace the document atomically. Raises OSError, or boto3's errors."""
        if self._parts.scheme == "file":
            path = Path(unquote(self._parts.path))
            part = path.with_name(f"{path.name}.part")
            part.write_bytes(document)
            part.replace(path)
            return
        self._s3().put_object(**self._object, Body=document, ContentType="application/jwk-set+json")

    @property
    def _object(self) -> dict[str, str]:
        return {"Bucket": self._parts.netloc, "Key": self._parts.path.lstrip("/")}

    def _s3(self) -> Any:
        if self._client is None:
            retries = {"total_max_attempts": 2, "mode": "standard"}
            config = Config(connect_timeout=_CONNECT_S, read_timeout=_READ_S, retries=retries)
            self._client = boto3.session.Session().client("s3", config=config)
        return self._client
