"""Tests how the API function serves the console: its files, its headers and its sign-in."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from functions.api import console_pages
from functions.api.console_files import read_files
from local.gateway.worker import LambdaContext
from shared.console_settings import console_settings
from shared.errors import ConfigurationError
from shared.names import VERSION, Env
from tests.support.gateway import Handler, body_of, problem_of, request

PAGE, SCRIPT, ICON = "<!doctype html><title>Pantheon</title>", "export const price = '1 €';", "<svg/>"
FILES = {
    "index.html": PAGE,
    "icon.svg": ICON,
    "assets/index-a1b2.js": SCRIPT,
    "assets/index-a1b2.js.map": "{}",
    "assets/index-c3d4.css": "main{}",
}
ISSUER = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_a"
LOGIN = "https://pantheon.auth.eu-central-1.amazoncognito.com"

Get = Callable[..., dict[str, Any]]


@pytest.fixture
def dist(tmp_path: Path, environment: pytest.MonkeyPatch) -> Path:
    """A build of the console, with a secret beside it."""
    folder = tmp_path / "dist"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, "utf-8")
    (tmp_path / "secret.html").write_text("secret")
    environment.setattr(console_pages, "DIST", folder)
    return folder


@pytest.fixture
def get(api: Handler, context: LambdaContext) -> Get:
    """Ask for a path as a browser without a token does."""

    def ask(path: str, method: str = "GET", query: str = "", **headers: str) -> dict[str, Any]:
        asked = request(method, path, query=query, headers={n.replace("_", "-"): v for n, v in headers.items()})
        del asked["requestContext"]["authorizer"]
        return api(asked, context)

    return ask


def assert_guarded(answer: dict[str, Any], connects_to: str = "'self'") -> None:
    """The headers that every answer of the console has."""
    headers = answer["headers"]
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "font-src": "'self'",
        "connect-src": connects_to,
        "manifest-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
    }
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert "camera=()" in headers["permissions-policy"]
    assert headers["vary"] == "Accept-Encoding"


@pytest.mark.usefixtures("dist")
class TestFiles:
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    @pytest.mark.parametrize("path", ["/console/", "/console/index.html"])
    def test_page_is_revalidated_at_each_request(self, get: Get, path: str, method: str) -> None:
        answer = get(path, method)
        assert (answer["statusCode"], answer["body"], answer["isBase64Encoded"]) == (200, PAGE, False)
        assert answer["headers"]["content-type"] == "text/html; charset=utf-8"
        assert answer["headers"]["cache-control"] == "no-cache"
        assert_guarded(answer)

    def test_page_accepts_the_parameters_of_the_issuers_redirect(self, get: Get) -> None:
        assert get("/console/", query="code=1&state=2&iss=3")["body"] == PAGE

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    @pytest.mark.parametrize(
        ("name", "media_type"),
        [("index-a1b2.js", "text/javascript; charset=utf-8"), ("index-c3d4.css", "text/css; charset=utf-8")],
    )
    def test_asset_is_cached_as_immutable(self, get: Get, name: str, media_type: str, method: str) -> None:
        answer = get(f"/console/assets/{name}", method)
        assert (answer["statusCode"], answer["isBase64Encoded"]) == (200, False)
        assert answer["body"] == FILES[f"assets/{name}"]
        assert answer["headers"]["content-type"] == media_type
        assert answer["headers"]["cache-control"] == "public, max-age=31536000, immutable"
        assert_guarded(answer)

    def test_other_file_of_the_console_is_text_and_revalidated(self, get: Get) -> None:
        answer = get("/console/icon.svg")
        assert (answer["statusCode"], answer["body"], answer["isBase64Encoded"]) == (200, ICON, False)
        assert (answer["headers"]["content-type"], answer["headers"]["cache-control"]) == ("image/svg+xml", "no-cache")

    def test_page_that_the_client_has_is_304(self, get: Get, dist: Path) -> None:
        tag = get("/console/")["headers"]["etag"]
        assert tag.startswith('W/"')
        again = get("/console/", If_None_Match=f'W/"other", {tag}')
        assert (again["statusCode"], again["body"], again["headers"]["etag"]) == (304, "", tag)
        assert_guarded(again)
        (dist / "index.html").write_text("<!doctype html><title>Newer</title>")
        read_files.cache_clear()
        assert get("/console/", If_None_Match=tag)["statusCode"] == 200

    @pytest.mark.parametrize(
        "path",
        [
            "/console/assets/other.js",
            "/console/assets/",
            "/console/assets",
            "/console/assets/index-a1b2.js.map",
            "/console/../secret.html",
            "/console/assets/../../secret.html",
            "/console//index.html",
            "/console/%2e%2e/secret.html",
        ],
    )
    def test_file_of_another_name_is_404(self, get: Get, path: str) -> None:
        answer = get(path)
        problem_of(answer, 404, "not_found")
        assert_guarded(answer)
        assert answer["headers"]["cache-control"] == "no-store"

    def test_files_are_read_once_in_a_process(self, get: Get, dist: Path) -> None:
        get("/console/")
        (dist / "index.html").unlink()
        assert get("/console/")["body"] == PAGE


def test_console_that_is_not_built_is_404_with_the_reason(
    get: Get, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment.setattr(console_pages, "DIST", tmp_path / "none")
    answer = get("/console/")
    assert "not built" in problem_of(answer, 404, "console_missing")["detail"]
    assert_guarded(answer)


def test_every_file_of_the_build_is_served() -> None:
    served = read_files(console_pages.DIST)
    built = {
        path.relative_to(console_pages.DIST).as_posix() for path in console_pages.DIST.rglob("*") if path.is_file()
    }
    assert served.keys() == built


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("asked_for", "base"),
    [("/live", "/live"), ("/live/", "/live"), ("/live/console", "/live"), ("/", ""), ("/console", "")],
)
def test_root_redirects_to_the_console(
    api: Handler, context: LambdaContext, asked_for: str, base: str, method: str
) -> None:
    asked = request(method, "/")
    asked["requestContext"]["path"] = asked_for
    answer = api(asked, context)
    assert (answer["statusCode"], answer["headers"]["location"]) == (307, f"{base}/console/")
    assert_guarded(answer)


class TestConfig:
    def test_config_has_no_issuer_when_none_is_set(self, get: Get) -> None:
        answer = get("/console/config.json")
        assert body_of(answer) == {
            "stage": "unit",
            "version": VERSION,
            "issuer": None,
            "client_id": None,
            "scope": "openid email",
            "authorization_endpoint": None,
            "token_endpoint": None,
            "end_session_endpoint": None,
        }
        assert answer["headers"]["cache-control"] == "no-store"
        assert_guarded(answer)

    def test_policy_allows_the_page_to_fetch_from_the_issuer_and_its_token_endpoint(
        self, get: Get, environment: pytest.MonkeyPatch
    ) -> None:
        environment.setenv(Env.CONSOLE_ISSUER, ISSUER)
        environment.setenv(Env.CONSOLE_CLIENT_ID, "client")
        environment.setenv(Env.CONSOLE_SCOPE, "openid")
        environment.setenv(Env.CONSOLE_AUTHORIZATION_ENDPOINT, f"{LOGIN}/oauth2/authorize")
        environment.setenv(Env.CONSOLE_TOKEN_ENDPOINT, f"{LOGIN}/oauth2/token")
        environment.setenv(Env.CONSOLE_END_SESSION_ENDPOINT, f"{LOGIN}/logout")
        console_settings.cache_clear()
        answer = get("/console/config.json")
        assert body_of(answer) == {
            "stage": "unit",
            "version": VERSION,
            "issuer": ISSUER,
            "client_id": "client",
            "scope": "openid",
            "authorization_endpoint": f"{LOGIN}/oauth2/authorize",
            "token_endpoint": f"{LOGIN}/oauth2/token",
            "end_session_endpoint": f"{LOGIN}/logout",
        }
        issuer = "https://cognito-idp.eu-central-1.amazonaws.com"
        assert_guarded(answer, connects_to=f"'self' {issuer} {LOGIN}")

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            (Env.CONSOLE_ISSUER, "http://issuer.example"),
            (Env.CONSOLE_ISSUER, "https://issuer.example; script-src *"),
            (Env.CONSOLE_ISSUER, "https://issuer.example;*/x"),
            (Env.CONSOLE_TOKEN_ENDPOINT, "https://*/token"),
            (Env.CONSOLE_AUTHORIZATION_ENDPOINT, "javascript:alert(1)"),
            (Env.CONSOLE_CLIENT_ID, "alone"),
        ],
    )
    def test_address_that_would_widen_the_policy_is_refused(
        self, environment: pytest.MonkeyPatch, name: str, value: str
    ) -> None:
        if name != Env.CONSOLE_CLIENT_ID:
            environment.setenv(Env.CONSOLE_ISSUER, "https://issuer.example")
            environment.setenv(Env.CONSOLE_CLIENT_ID, "client")
        environment.setenv(name, value)
        console_settings.cache_clear()
        with pytest.raises(ConfigurationError):
            console_settings()
