"""Tests the copy of an issuer's keys: from a server with OpenID Connect Discovery, to S3, to the authorizer."""

import json
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from uuid import uuid4

import pytest

from functions.jwks.handler import handler
from local.gateway.worker import LambdaContext
from shared.aws.jwks_store import MAX_BYTES, JwksStore
from shared.identity.issuer import IssuerUnavailable, fetch_key_set
from shared.identity.key_set import InvalidKeySet, KeySet, parse
from shared.names import Env
from shared.settings import issuer_settings
from tests.support.fake_bedrock.environment import ENVIRONMENT, REGION
from tests.support.issuer import Issuer

pytest_plugins = ["tests.support.bedrock_log.fixtures"]
_DISCOVERY = "/.well-known/openid-configuration"


class Site:
    """The answers of an issuer's site: bodies by path, and the requested paths."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.keys = Issuer("first")
        self.asked: list[str] = []
        self.answers: dict[str, Callable[[], tuple[int, Mapping[str, str], bytes]]] = {}
        self.discover()
        self.answers["/keys"] = lambda: (200, {}, self.keys.key_set)

    def discover(self, **changes: object) -> None:
        self.say(_DISCOVERY, {"issuer": self.url, "jwks_uri": f"{self.url}/keys"} | changes)

    def say(self, path: str, body: object, status: int = 200, **headers: str) -> None:
        self.answers[path] = lambda: (status, headers, body if isinstance(body, bytes) else json.dumps(body).encode())


@pytest.fixture
def site() -> Iterator[Site]:
    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            status, headers, body = found.answers.get(self.path, lambda: (404, {}, b""))()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        found = Site(f"http://127.0.0.1:{server.server_port}")
        yield found
        server.shutdown()
        thread.join()


def test_the_keys_of_the_issuer_are_read_by_discovery(site: Site) -> None:
    assert set(parse(fetch_key_set(site.url))) == {"first"}
    assert site.asked == [_DISCOVERY, "/keys"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda site: site.discover(issuer="http://other"), IssuerUnavailable),
        (lambda site: site.discover(jwks_uri=None), IssuerUnavailable),
        (lambda site: site.discover(jwks_uri="file:///etc/passwd"), IssuerUnavailable),
        (lambda site: site.discover(jwks_uri="https://127.0.0.1:1/"), IssuerUnavailable),
        (lambda site: site.discover(jwks_uri="http://127.0.0.1:1/"), IssuerUnavailable),
        (lambda site: site.say(_DISCOVERY, []), IssuerUnavailable),
        (lambda site: site.say(_DISCOVERY, b"<html>"), IssuerUnavailable),
        (lambda site: site.say(_DISCOVERY, b"[" * 5000), IssuerUnavailable),
        (lambda site: site.say(_DISCOVERY, b"", 500), IssuerUnavailable),
        (lambda site: site.say("/keys", b"", 302, Location="/elsewhere"), IssuerUnavailable),
        (lambda site: site.say("/keys", {"keys": []}), InvalidKeySet),
        (lambda site: site.say("/keys", b"x" * (MAX_BYTES * 20)), InvalidKeySet),
    ],
)
def test_an_issuer_that_answers_otherwise_is_refused(
    site: Site, change: Callable[[Site], None], error: type[Exception]
) -> None:
    change(site)
    with pytest.raises(error):
        fetch_key_set(site.url)


@pytest.fixture
def bucket(s3: Any, site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket, and the environment of the function that copies the keys of `site` to it."""
    for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL_S3": s3.meta.endpoint_url}.items():
        monkeypatch.setenv(name, value)
    name = f"keys-{uuid4()}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    monkeypatch.setenv(Env.JWT_ISSUER, site.url)
    monkeypatch.setenv(Env.JWKS_URL, f"s3://{name}/jwks.json")
    issuer_settings.cache_clear()
    yield name
    issuer_settings.cache_clear()


@pytest.fixture
def context() -> LambdaContext:
    return LambdaContext("jwks", "request-1", 30.0)


def test_the_function_copies_the_keys_to_where_the_authorizer_reads_them(
    site: Site, bucket: str, context: LambdaContext
) -> None:
    keys = KeySet(JwksStore(f"s3://{bucket}/jwks.json").read)
    handler({}, context)
    assert keys.find("first") is not None
    site.keys = Issuer("second")
    handler({}, context)
    assert set(parse(JwksStore(f"s3://{bucket}/jwks.json").read())) == {"second"}


def test_a_copy_that_fails_is_an_error_and_leaves_the_last_one(
    site: Site, bucket: str, context: LambdaContext, s3: Any
) -> None:
    handler({}, context)
    site.say("/keys", {"keys": []})
    with pytest.raises(InvalidKeySet):
        handler({}, context)
    assert set(parse(s3.get_object(Bucket=bucket, Key="jwks.json")["Body"].read())) == {"first"}


def test_a_huge_object_is_not_read_whole(bucket: str, s3: Any) -> None:
    s3.put_object(Bucket=bucket, Key="jwks.json", Body=b"x" * (MAX_BYTES * 3))
    assert len(JwksStore(f"s3://{bucket}/jwks.json").read()) == MAX_BYTES + 1
