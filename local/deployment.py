"""Send the requests of commands to a deployment. The text of each failure is one line that says what to do."""

import argparse
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from local.safe_text import visible
from shared.names import API_PREFIX, CliEnv, LocalEnv

if TYPE_CHECKING:
    import httpx

_DEFAULT_PORT: Final = "8000"
_TIMEOUT_S: Final = 30.0
# The longest pause in a stream. Without an event, a server sends a comment every 15 s.
_STREAM_S: Final = 60.0
_TOKEN_TTL: Final = timedelta(minutes=15)
_PAGE: Final = 100


class DeploymentError(Exception):
    """The deployment refused a request or did not answer. The text is one line. `status` is None without an answer."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status

    @property
    def is_refusal(self) -> bool:
        """Return whether the deployment changed nothing. After any other failure, the outcome is unknown."""
        return self.status is not None and 400 <= self.status < 500 and self.status != 408


def add_options(parser: argparse.ArgumentParser) -> None:
    local = f"http://127.0.0.1:{_DEFAULT_PORT}"
    parser.add_argument(
        "--url", help=f"the address of Pantheon; or {CliEnv.URL} ({local}, or the port of {LocalEnv.PORT})"
    )
    parser.add_argument(
        "--token",
        help=f"a token or an API key; or {CliEnv.TOKEN}. Without URL and token: the demo tenant of `pantheon run`",
    )


class Deployment:
    """An open connection. `url` is the base URL, without a slash at its end."""

    def __init__(self, url: str, http: "httpx.Client") -> None:
        self.url = url
        self._http = http

    def ask(self, method: str, path: str, body: object = None, version: int | None = None) -> dict[str, Any]:
        """Return the JSON of the answer, {} for status 204. `version` is sent as If-Match. Raises DeploymentError."""
        import httpx

        headers = {} if version is None else {"If-Match": f'"{version}"'}
        try:
            response = self._http.request(method, path, json=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            raise DeploymentError(f"{self.url} cannot be reached: {type(error).__name__}. Check --url.") from error
        if not response.is_success:
            raise DeploymentError(self._refusal(response), response.status_code)
        if response.status_code == 204:
            return {}
        answer = _json(response)
        if answer is None:
            raise self.mistaken()
        return answer

    def stream(self, method: str, path: str, body: object, headers: Mapping[str, str]) -> Iterator[str]:
        """Yield the lines of an answer of type text/event-stream as they arrive.

        Raises DeploymentError, also when the connection breaks."""
        import httpx

        asked = {"Accept": "text/event-stream", **headers}
        try:
            with self._http.stream(method, path, json=body, headers=asked, timeout=_STREAM_S) as response:
                if not response.is_success:
                    response.read()
                    raise DeploymentError(self._refusal(response), response.status_code)
                yield from response.iter_lines()
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            raise DeploymentError(f"{self.url} cannot be reached: {type(error).__name__}. Check --url.") from error

    def items(self, path: str) -> Iterator[dict[str, Any]]:
        """Yield the items of all pages of a list. Raises DeploymentError."""
        cursor = ""
        while True:
            page = self.ask("GET", f"{path}?limit={_PAGE}{cursor}")
            items, following = page.get("items"), page.get("next_cursor")
            if not isinstance(items, list):
                raise self.mistaken()
            yield from items
            if following is None:
                return
            cursor = f"&cursor={quote(str(following), safe='')}"

    def mistaken(self) -> DeploymentError:
        """Return the error for an answer that this release of Pantheon does not give."""
        return DeploymentError(f"{self.url} does not answer as this release of Pantheon does. Check --url.")

    def _refusal(self, response: "httpx.Response") -> str:
        told, status = _json(response) or {}, response.status_code
        reason = told.get("detail") or told.get("message")
        code = f" {told['code']}" if "code" in told else ""
        line = visible(f"{status}{code}: {reason or response.reason_phrase}".rstrip(".")) + "."
        if status == 401:
            return f"{line} Give a valid token or API key: --token or {CliEnv.TOKEN}."
        if status >= 500:
            return f"{line} The fault is the deployment's, at {self.url}. Try again later."
        return line if "code" in told else f"{line} Is Pantheon at {self.url}? Check --url."


@contextmanager
def connect(given: argparse.Namespace, environ: Mapping[str, str]) -> Iterator[Deployment]:
    """Open the deployment of the options, else of the environment, else `pantheon run`. Raises DeploymentError."""
    # `pantheon token` imports this module and must start fast.
    import httpx

    named = given.url or environ.get(CliEnv.URL)
    token = (given.token or environ.get(CliEnv.TOKEN) or "").strip()
    if not token and named:
        raise DeploymentError(f"There is no token: give --token or set {CliEnv.TOKEN}.")
    url = (named or _at(environ.get(LocalEnv.PORT) or _DEFAULT_PORT)).rstrip("/")
    headers = {"Authorization": f"Bearer {token or _local_token(environ)}"}
    try:
        http = httpx.Client(base_url=f"{url}{API_PREFIX}/", headers=headers, timeout=_TIMEOUT_S)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise DeploymentError(f"{url} cannot be reached: {type(error).__name__}. Check --url and --token.") from error
    if http.base_url.userinfo:
        # httpx would send them instead of the token, and commands print the URL.
        raise DeploymentError("The URL must hold no name and no password. Give --token.")
    if http.base_url.scheme == "http" and not _is_loopback(http.base_url.host):
        warning = f"Warning: {url} is not encrypted, so others on the network can read the token. Use https://."
        print(visible(warning), file=sys.stderr)
    with http:
        yield Deployment(url, http)


def local_url(environ: Mapping[str, str]) -> str | None:
    """Return the address of `pantheon run`, None if PANTHEON_PORT lets it take any free port or is not a port."""
    port = environ.get(LocalEnv.PORT) or _DEFAULT_PORT
    return _at(port) if re.fullmatch("[1-9][0-9]{0,4}", port) else None


def _at(port: str) -> str:
    return f"http://127.0.0.1:{port}"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _local_token(environ: Mapping[str, str]) -> str:
    from local.demo import TENANT, USER
    from local.environment import claim_names, data_dir
    from local.gateway.tokens import TokenKey, TokenKeyError

    try:
        key = TokenKey.load(data_dir(environ))
    except TokenKeyError as error:
        raise DeploymentError(f"There is no token: give --token or set {CliEnv.TOKEN}. {error}") from error
    return key.issue(TENANT, USER, ("member", "admin"), _TOKEN_TTL, claim_names(environ))


def _json(response: "httpx.Response") -> dict[str, Any] | None:
    try:
        answer = response.json()
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None
