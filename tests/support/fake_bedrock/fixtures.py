"""Defines the fixtures of the server, of an environment that leads only to it, and of the provider."""

import contextlib
import os
from collections.abc import Iterator

import pytest

from shared.llm.bedrock import BedrockProvider
from tests.support.fake_bedrock import FakeBedrock
from tests.support.fake_bedrock.environment import ENVIRONMENT, STAGE


@pytest.fixture
def aws_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Set useless credentials, and none of this machine's."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture
def fake_bedrock(aws_environment: pytest.MonkeyPatch) -> Iterator[FakeBedrock]:
    with FakeBedrock() as server:
        aws_environment.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", server.endpoint)
        yield server


@pytest.fixture
def bedrock(fake_bedrock: FakeBedrock) -> Iterator[BedrockProvider]:
    with contextlib.closing(BedrockProvider(STAGE)) as provider:
        yield provider
