"""Fixtures: a server that speaks SQS, an environment that leads to it and to no account, and a queue on it.

The queue can be that of this process's functions.
"""

import json
import os
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from uuid6 import uuid7

from infra_cdk.entries import HIDDEN_SECONDS
from local.gateway.worker import LambdaContext
from shared.aws.queue import graphs_queue, queue
from shared.names import MAX_RECEIVES, Env
from shared.settings import queue_settings
from tests.support import sqs
from tests.support.council_room import AMPLE_S
from tests.support.fake_bedrock.environment import ENVIRONMENT, REGION


@pytest.fixture(scope="session")
def sqs_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address=sqs.HOST, port=0, verbose=False)
    server.start()
    yield f"http://{sqs.HOST}:{server.get_host_and_port()[1]}"
    server.stop()
    assert server._server is not None
    server._server.server_close()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture
def moto(sqs_endpoint: str, aws: pytest.MonkeyPatch) -> Iterator[sqs.MotoQueue]:
    """A queue as the deployment makes it, of the test's own."""
    aws.setenv("AWS_ENDPOINT_URL_SQS", sqs_endpoint)
    client = boto3.client("sqs", region_name=REGION)
    yield _make(client)
    client.close()


def _make(client: Any) -> sqs.MotoQueue:
    name = f"turns-{uuid7()}"
    dead_letter_url = client.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
    arn = client.get_queue_attributes(QueueUrl=dead_letter_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": MAX_RECEIVES})
    attributes = {"VisibilityTimeout": str(HIDDEN_SECONDS), "RedrivePolicy": redrive}
    url = client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return sqs.MotoQueue(client, url, dead_letter_url)


@pytest.fixture
def context() -> LambdaContext:
    return LambdaContext("worker", "request-1", time.monotonic() + AMPLE_S)


@pytest.fixture
def deployed(moto: sqs.MotoQueue, scripted_settings: None, monkeypatch: pytest.MonkeyPatch) -> sqs.MotoQueue:
    """The queue, set as that of this process's functions."""
    monkeypatch.setenv(Env.QUEUE_URL, moto.url)
    queue_settings.cache_clear()
    queue.cache_clear()
    graphs_queue.cache_clear()
    return moto


@pytest.fixture
def of_graphs(deployed: sqs.MotoQueue, monkeypatch: pytest.MonkeyPatch) -> Iterator[sqs.MotoQueue]:
    """A second queue, set as the one for turns of graphs."""
    made = _make(deployed.client)
    monkeypatch.setenv(Env.GRAPHS_QUEUE_URL, made.url)
    queue_settings.cache_clear()
    graphs_queue.cache_clear()
    yield made
    queue_settings.cache_clear()
    graphs_queue.cache_clear()
