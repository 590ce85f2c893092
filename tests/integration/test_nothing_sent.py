"""Tests that a request that was not sent costs nothing, and that a start without a working client fails."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from shared.catalog import build
from shared.errors import ConfigurationError
from shared.llm.exchange import is_this_machine
from shared.llm.openai_compatible import OpenAICompatibleProvider
from shared.llm.providers import connect
from tests.support.fake_bedrock.environment import STAGE
from tests.support.fake_provider import FakeProvider
from tests.support.fake_provider.calls import LIMIT_S, complete, request, settings

pytest_plugins = ["tests.support.fake_provider.fixtures", "tests.support.fake_bedrock.fixtures"]

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
BROKEN = {
    "an address range among the exceptions": {"NO_PROXY": "localhost,fe80::/10"},
    "a socks proxy without support": {"ALL_PROXY": "socks5://user:hidden@127.0.0.1:1080"},
    "a proxy of no known kind": {"HTTPS_PROXY": "ftp://user:hidden@127.0.0.1:1080"},
    "a proxy's port that is none": {"HTTP_PROXY": "http://user:hidden@127.0.0.1:port"},
    "certificates that are not there": {"SSL_CERT_FILE": "/nowhere/certificates.pem"},
}


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def proxy() -> Iterator[str]:
    """A proxy that refuses every CONNECT."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65_536)
                    connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("environment", BROKEN.values(), ids=BROKEN)
def test_an_environment_that_allows_for_no_client_is_one_line_at_start(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as raised:
        connect(build(settings("local", llm_base_url="http://model.test/v1")))
    line = str(raised.value)
    assert line.startswith("[providers.local] no HTTP client can be made (")
    assert "\n" not in line
    assert "hidden" not in line


def test_bedrock_checks_its_client_at_start_too(
    aws_environment: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PANTHEON_STAGE", STAGE)
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/certificates.pem")
    with pytest.raises(ConfigurationError, match=r"^\[providers\.bedrock\] no HTTP client can be made"):
        connect(build(settings("bedrock")))


@pytest.mark.parametrize("environment", BROKEN.values(), ids=BROKEN)
def test_a_client_that_cannot_be_made_later_has_sent_nothing(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    provider = OpenAICompatibleProvider("http://model.test/v1")
    provider.close()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    completion = complete(provider, request(LIMIT_S))
    assert (completion.status, completion.error) == ("unbilled", "unavailable")


@pytest.mark.parametrize("port", [65_536, 99_999, 0])
def test_invalid_port_is_one_line_at_start(port: int) -> None:
    with pytest.raises(ConfigurationError, match=r"^\[providers\.local\] base_url: "):
        connect(build(settings("local", llm_base_url=f"http://127.0.0.1:{port}/v1")))


def test_a_short_form_of_this_machines_address_is_called_without_a_proxy(
    fake_provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "localhost,fe80::/10")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    url = fake_provider.url.replace("127.0.0.1", "127.1")
    with contextlib.closing(OpenAICompatibleProvider(url)) as provider:
        completion = complete(provider, request())
    assert (completion.status, len(fake_provider.rows)) == ("succeeded", 1)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        *((host, True) for host in ("127.0.0.1", "127.0.0.2", "127.1", "localhost", "model.localhost", "::1")),
        *((host, False) for host in ("model.test", "10.0.0.1", "::2", "127.0.0.1.test", "notlocalhost", "")),
    ],
)
def test_a_loopback_address_is_this_machine(host: str, expected: bool) -> None:
    assert is_this_machine(host) is expected


def test_a_header_that_cannot_be_written_down_was_not_sent(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider
) -> None:
    completion = complete(openai_compatible, request(call_id="call\r\n1"))
    assert (completion.status, completion.error) == ("unbilled", "unavailable")
    assert fake_provider.rows == []


def test_a_proxy_that_refuses_to_connect_has_sent_nothing(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with contextlib.closing(OpenAICompatibleProvider("https://model.test/v1")) as provider:
        completion = complete(provider, request())
    assert (completion.status, completion.error) == ("unbilled", "unavailable")


def test_a_name_that_no_resolver_takes_was_not_sent_to() -> None:
    with contextlib.closing(OpenAICompatibleProvider(f"http://{'x' * 64}.test/v1")) as provider:
        completion = complete(provider, request())
    assert (completion.status, completion.error) == ("unbilled", "unavailable")


def test_a_call_that_is_broken_off_while_it_connects_was_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up, answered = threading.Event(), threading.Event()

    def look_up(*_: object, **__: object) -> list[object]:
        looked_up.set()
        answered.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    provider = OpenAICompatibleProvider("http://model.test/v1")

    def close() -> None:
        looked_up.wait()
        provider.close()

    threading.Thread(target=close, daemon=True).start()
    completion = complete(provider, request())
    answered.set()
    assert (completion.status, completion.error) == ("unbilled", "unavailable")
