"""Tests the client of a deployment: its requests, its token and the line for each refusal."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx
import pytest

from local.deployment import Deployment, DeploymentError, connect
from local.gateway.tokens import TokenKey

URL = "https://stage.example/live"


def deployment(answer: Callable[[httpx.Request], httpx.Response]) -> Deployment:
    return Deployment(URL, httpx.Client(base_url=f"{URL}/api/v1/", transport=httpx.MockTransport(answer)))


def error_of(response: httpx.Response) -> DeploymentError:
    with pytest.raises(DeploymentError) as raised:
        deployment(lambda _: response).ask("GET", "agents")
    return raised.value


def problem(status: int, code: str) -> httpx.Response:
    return httpx.Response(status, json={"code": code, "detail": "So it is."})


def test_a_list_is_read_to_its_last_page() -> None:
    asked = []

    def page(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url).removeprefix(f"{URL}/api/v1/"))
        return httpx.Response(
            200, json={"items": [{"n": len(asked)}], "next_cursor": "a+b" if len(asked) < 3 else None}
        )

    assert list(deployment(page).items("agents")) == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert asked == ["agents?limit=100", *["agents?limit=100&cursor=a%2Bb"] * 2]


def test_a_version_is_sent_as_if_match_in_quotes() -> None:
    def echo(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"tag": request.headers.get("If-Match")})

    assert deployment(echo).ask("PUT", "agents/writer", {}, 3) == {"tag": '"3"'}
    assert deployment(echo).ask("PUT", "agents/writer", {}) == {"tag": None}


@pytest.mark.parametrize(
    ("response", "line"),
    [
        (problem(422, "quota_exceeded"), "422 quota_exceeded: So it is."),
        (httpx.Response(401, json={"message": "Expired."}), "401: Expired. Give a valid token or API key: "),
        (
            problem(503, "database_unavailable"),
            "503 database_unavailable: So it is. The fault is the deployment's, at ",
        ),
        (httpx.Response(502, text="<html>"), "502: Bad Gateway. The fault is the deployment's, at "),
        (httpx.Response(404, text="nothing"), f"404: Not Found. Is Pantheon at {URL}? Check --url."),
        (httpx.Response(302, headers={"Location": "/login"}), f"302: Found. Is Pantheon at {URL}? Check --url."),
        (httpx.Response(200, text="<html>"), f"{URL} does not answer as this release of Pantheon does."),
        (httpx.Response(200, text="[" * 100_000), f"{URL} does not answer as this release of Pantheon does."),
        (httpx.Response(200, json=["x"]), f"{URL} does not answer as this release of Pantheon does."),
        (httpx.Response(422, json={"code": "x", "detail": "\x1b[2J\n"}), r"422 x: \x1b[2J\n."),
    ],
)
def test_refusal_is_one_line_with_the_next_step(response: httpx.Response, line: str) -> None:
    text = str(error_of(response))
    assert text.startswith(line)
    assert text.isprintable()


@pytest.mark.parametrize(
    ("status", "is_refusal"), [(401, True), (404, True), (412, True), (408, False), (500, False), (504, False)]
)
def test_answer_below_500_means_that_nothing_was_written(status: int, is_refusal: bool) -> None:
    assert error_of(problem(status, "x")).is_refusal is is_refusal


def test_broken_connection_is_not_a_refusal() -> None:
    def cut(_: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("slow")

    with pytest.raises(DeploymentError, match="cannot be reached: ReadTimeout") as raised:
        deployment(cut).ask("GET", "agents")
    assert not raised.value.is_refusal


@pytest.mark.parametrize(
    ("url", "token", "environ", "expected"),
    [
        ("https://a.example/", "t", {}, "https://a.example"),
        (None, None, {"PANTHEON_URL": "https://b.example", "PANTHEON_TOKEN": "t\n"}, "https://b.example"),
        ("https://a.example", "t", {"PANTHEON_URL": "https://b.example"}, "https://a.example"),
        (None, "t", {"PANTHEON_PORT": "9000"}, "http://127.0.0.1:9000"),
        (None, "t", {}, "http://127.0.0.1:8000"),
    ],
)
def test_the_deployment_is_that_of_the_options_then_of_the_environment_then_the_local_one(
    url: str | None, token: str | None, environ: Mapping[str, str], expected: str
) -> None:
    with connect(argparse.Namespace(url=url, token=token), environ) as there:
        assert there.url == expected


@pytest.mark.parametrize("token", ["", " \n"])
def test_a_named_deployment_never_gets_the_token_of_the_local_one(tmp_path: Path, token: str) -> None:
    TokenKey.load_or_create(tmp_path)
    environ = {"PANTHEON_DATA_DIR": str(tmp_path)}
    with connect(argparse.Namespace(url=None, token=token), environ) as local:
        assert local.url == "http://127.0.0.1:8000"
    given = argparse.Namespace(url="https://a.example", token=token)
    with pytest.raises(DeploymentError, match="There is no token"), connect(given, environ):
        pass


def test_missing_token_is_refused_with_the_way_to_get_one(tmp_path: Path) -> None:
    given = argparse.Namespace(url=None, token=None)
    no_run = pytest.raises(DeploymentError, match=r"give --token or set PANTHEON_TOKEN\. .*pantheon run")
    with no_run, connect(given, {"PANTHEON_DATA_DIR": str(tmp_path)}):
        pass


@pytest.mark.parametrize(
    ("url", "warns"),
    [
        ("http://stage.example", True),
        ("http://127.0.0.1.example", True),
        ("http://10.0.0.1:8000", True),
        ("https://stage.example", False),
        ("http://127.0.0.1:8000", False),
        ("http://[::1]:8000", False),
        ("http://localhost:8000", False),
    ],
)
def test_a_token_for_an_unencrypted_url_gets_a_warning(
    url: str, warns: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with connect(argparse.Namespace(url=url, token="t0ken"), {}):
        pass
    out, err = capsys.readouterr()
    assert (out, "is not encrypted" in err) == ("", warns)
    assert "t0ken" not in err


@pytest.mark.parametrize("url", ["https://me:hush@stage.example", "https://me@stage.example"])
def test_a_url_with_a_password_is_refused_and_not_shown(url: str) -> None:
    given = argparse.Namespace(url=url, token="t")
    with pytest.raises(DeploymentError, match="no name and no password") as raised, connect(given, {}):
        pass
    assert "hush" not in str(raised.value)
