"""Defines the fixtures of a server that speaks S3 and of a log on it that this process's reconciler reads."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import boto3
import pytest
from moto.server import ThreadedMotoServer

from shared.aws.invocation_log import invocation_log
from shared.db.engine import operations_database
from shared.names import Env
from shared.settings import invocation_log_settings, operations_settings, stage_settings
from tests.support.bedrock_log import FOLDER, HOST, STAGE, Log
from tests.support.council_room import CouncilRoom
from tests.support.fake_bedrock.environment import ACCESS_KEY_ID, ENVIRONMENT, REGION, SECRET_ACCESS_KEY

_CACHES = (operations_settings, invocation_log_settings, stage_settings, operations_database, invocation_log)


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """A client of a server that speaks S3."""
    server = ThreadedMotoServer(ip_address=HOST, port=0, verbose=False)
    server.start()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{HOST}:{server.get_host_and_port()[1]}",
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY_ID,
        aws_secret_access_key=SECRET_ACCESS_KEY,
    )
    yield client
    client.close()
    server.stop()
    assert server._server is not None
    server._server.server_close()


@pytest.fixture
def log(room: CouncilRoom, ops_url: str, s3: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL_S3": s3.meta.endpoint_url}.items():
        monkeypatch.setenv(name, value)
    bucket = f"logs-{uuid4()}"
    monkeypatch.setenv(Env.STAGE, STAGE)
    monkeypatch.setenv(Env.OPS_DATABASE_URL, ops_url)
    monkeypatch.setenv(Env.INVOCATION_LOG, f"s3://{bucket}/{FOLDER}")
    for cache in _CACHES:
        cache.cache_clear()
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    log = Log(s3, bucket, room)
    # So that a test is not about the two weeks before it.
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    log.remember(now - timedelta(days=20), now)
    yield log
    if client := invocation_log()._client:
        client.close()
    operations_database().close()
    for cache in _CACHES:
        cache.cache_clear()
