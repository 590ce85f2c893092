"""Sign the password of a database role on RDS, a SigV4 token that is valid for fifteen minutes.

Nothing here loads botocore, which would add 0.1 s to every start. A test compares the token with botocore's own.
"""

import hashlib
import hmac
import http.client
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

from shared.settings import AwsEnvironment, aws_environment

_EXPIRES_S: Final = 900
_TIMEOUT_S: Final = 2.0
_SERVICE: Final = "rds-db"


class CredentialsUnavailable(Exception):
    """This process has no AWS credentials, or their source does not answer."""


@dataclass(frozen=True)
class _Credentials:
    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(repr=False)


def database_token(host: str, port: int, user: str, region: str, now: datetime | None = None) -> str:
    """Return the token with which `user` signs in at `host`. Raises CredentialsUnavailable."""
    credentials = _load_credentials(aws_environment())
    time = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{time[:8]}/{region}/{_SERVICE}/aws4_request"
    query = {
        "Action": "connect",
        "DBUser": user,
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{credentials.access_key_id}/{scope}",
        "X-Amz-Date": time,
        "X-Amz-Expires": str(_EXPIRES_S),
        "X-Amz-SignedHeaders": "host",
    }
    if credentials.session_token is not None:
        query["X-Amz-Security-Token"] = credentials.session_token
    line = urlencode(sorted(query.items()), quote_via=quote, safe="-_.~")
    request = "\n".join(("GET", "/", line, f"host:{host}:{port}", "", "host", _sha256("")))
    key = f"AWS4{credentials.secret_access_key}".encode()
    for part in (*scope.split("/"), "\n".join(("AWS4-HMAC-SHA256", time, scope, _sha256(request)))):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return f"{host}:{port}/?{line}&X-Amz-Signature={key.hex()}"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _load_credentials(environment: AwsEnvironment) -> _Credentials:
    """Load the environment's credentials. In a function restored from a snapshot, load them from Lambda's local
    endpoint, because those in the snapshot may have expired."""
    if environment.access_key_id is not None and environment.secret_access_key is not None:
        return _Credentials(environment.access_key_id, environment.secret_access_key, environment.session_token)
    if environment.container_credentials_full_uri is None:
        raise CredentialsUnavailable("neither AWS_ACCESS_KEY_ID nor AWS_CONTAINER_CREDENTIALS_FULL_URI is set")
    try:
        answer = _get(environment.container_credentials_full_uri, environment.container_authorization_token)
        return _Credentials(answer["AccessKeyId"], answer["SecretAccessKey"], answer.get("Token"))
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        raise CredentialsUnavailable(type(error).__name__) from error


def _get(uri: str, token: str | None) -> dict[str, str]:
    parts = urlsplit(uri)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT_S)
    try:
        path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        connection.request("GET", path, headers={"Authorization": token} if token else {})
        response = connection.getresponse()
        body = response.read()
        if response.status != http.HTTPStatus.OK:
            raise OSError(f"status {response.status}")
        answer: dict[str, str] = json.loads(body)
        return answer
    finally:
        connection.close()
