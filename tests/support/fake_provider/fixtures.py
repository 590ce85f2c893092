"""`pytest_plugins = ["tests.support.fake_provider.fixtures"]` brings the server, and the provider that talks to it."""

import contextlib
from collections.abc import Iterator

import pytest

from shared.llm.openai_compatible import OpenAICompatibleProvider
from tests.support.fake_provider import FakeProvider
from tests.support.fake_provider.calls import API_KEY


@pytest.fixture
def fake_provider() -> Iterator[FakeProvider]:
    with FakeProvider() as server:
        yield server


@pytest.fixture
def openai_compatible(fake_provider: FakeProvider) -> Iterator[OpenAICompatibleProvider]:
    with contextlib.closing(OpenAICompatibleProvider(fake_provider.url, API_KEY)) as provider:
        yield provider
