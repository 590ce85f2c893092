"""Tests that the gateway serves its own host names and refuses others, against DNS rebinding."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.gateway.server import Gateway
from tests.support.stack.misbehaving import answer_to, invocations, started

REFUSED = ("evil.example", "evil.example:{port}", "127.0.0.1.evil.example:{port}", "localhost:1", "10.0.0.7:{port}")
REQUEST = (
    "{method} /api/v1/agents HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer good\r\n{more}Connection: close\r\n\r\n"
)


def ask(port: int, host: str, method: str = "GET", more: str = "") -> bytes:
    return answer_to(port, REQUEST.format(method=method, host=host.format(port=port), more=more).encode())


@pytest.mark.parametrize(
    "host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST:{port}", "[::1]:{port}", "localhost"]
)
def test_gateway_serves_its_own_names(port: int, host: str) -> None:
    assert ask(port, host).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("host", REFUSED)
def test_another_name_is_421_with_the_names_to_use_and_reaches_no_function(
    port: int, directory: Path, host: str
) -> None:
    before = invocations(directory)
    answer = ask(port, host)
    assert answer.startswith(b"HTTP/1.1 421 ")
    names = f"http://127.0.0.1:{port}, http://localhost:{port} or http://[::1]:{port}"
    assert answer.endswith(f'{{"message":"Use {names}, or name this host in PANTHEON_HOSTS."}}'.encode())
    assert invocations(directory) == before


@pytest.mark.parametrize("host", ["[::1", "[evil]:1", "a b", "[::1]:1:2"])
def test_invalid_host_header_is_400(port: int, host: str) -> None:
    assert ask(port, host).startswith(b"HTTP/1.1 400 ")


def test_a_preflight_to_another_name_is_refused(port: int) -> None:
    more = "Origin: http://evil.example\r\nAccess-Control-Request-Method: GET\r\n"
    assert ask(port, "evil.example", "OPTIONS", more).startswith(b"HTTP/1.1 421 ")


@pytest.fixture(scope="module")
def behind_a_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with started(tmp_path_factory.mktemp("proxied"), hosts=("Pantheon.example",)) as gateway:
        yield gateway


@pytest.mark.parametrize("host", ["pantheon.example", "PANTHEON.example:8443", "localhost:{port}"])
def test_a_name_of_a_proxy_is_served_on_any_port(behind_a_proxy: Gateway, host: str) -> None:
    assert ask(behind_a_proxy.port, host).startswith(b"HTTP/1.1 200 ")


def test_other_names_are_still_refused_behind_a_proxy(behind_a_proxy: Gateway) -> None:
    assert ask(behind_a_proxy.port, "evil.pantheon.example").startswith(b"HTTP/1.1 421 ")
