"""An OpenID provider on this machine, by which the console signs users in: code flow with PKCE, refresh and sign-out.

The stack's own key signs its tokens. So the stack's authorizer accepts them, and the login is at another origin than
the tokens' issuer, as Cognito's is.
"""

import base64
import hashlib
import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar, Final, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from local.gateway.tokens import AUDIENCE, ISSUER
from shared.names import Env

CLIENT_ID: Final = AUDIENCE
_REDIRECT: Final = re.compile(r"http://(127\.0\.0\.1|localhost):[0-9]+/console/")
_FORM: Final = (
    "<!doctype html><meta charset=utf-8><title>Sign in</title><form method=post><label>User name"
    " <input name=user autofocus></label> <button>Sign in</button></form>"
)


@dataclass(frozen=True)
class User:
    """Someone who can sign in. There is no password."""

    name: str
    tenant: str = "acme"
    roles: tuple[str, ...] = ("member",)


# The user, further claims, and how long the token is good for.
Sign = Callable[[User, Mapping[str, str], timedelta], str]


@dataclass(frozen=True)
class Asked:
    """One request, with the parameters of its query and of its form."""

    method: str
    path: str
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class _Grant:
    user: User
    redirect_uri: str
    challenge: str
    nonce: str


@dataclass
class OidcServer:
    """The provider, which runs as long as the context manager. `sign` makes its tokens. `asked` are the requests that
    it got. `ttl` is how long a token is good for."""

    users: dict[str, User] = field(default_factory=lambda: {"ada": User("ada", roles=("member", "admin"))})
    sign: Sign | None = None
    ttl: timedelta = timedelta(hours=1)
    asked: list[Asked] = field(default_factory=list)
    codes: dict[str, _Grant] = field(default_factory=dict)
    refreshes: dict[str, _Grant] = field(default_factory=dict)

    def __enter__(self) -> Self:
        owner = self

        class Handler(_Handler):
            provider: ClassVar["OidcServer"] = owner

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def environ(self) -> dict[str, str]:
        """The variables by which a stack's console signs in here."""
        return {
            Env.CONSOLE_ISSUER: ISSUER,
            Env.CONSOLE_CLIENT_ID: CLIENT_ID,
            Env.CONSOLE_AUTHORIZATION_ENDPOINT: f"{self.url}/authorize",
            Env.CONSOLE_TOKEN_ENDPOINT: f"{self.url}/token",
            Env.CONSOLE_END_SESSION_ENDPOINT: f"{self.url}/logout",
        }

    def allow(self, asked: Mapping[str, str]) -> str | None:
        """Return the reason to refuse an authorization request, or None."""
        wanted = {"response_type": "code", "client_id": CLIENT_ID, "code_challenge_method": "S256"}
        wrong = [name for name, value in wanted.items() if asked.get(name) != value]
        wrong += [] if _REDIRECT.fullmatch(asked.get("redirect_uri", "")) else ["redirect_uri"]
        wrong += [] if "openid" in asked.get("scope", "").split() else ["scope"]
        wrong += [] if re.fullmatch(r"[\w-]{43}", asked.get("code_challenge", "")) else ["code_challenge"]
        wrong += [name for name in ("state", "nonce") if not asked.get(name)]
        return None if not wrong else f"invalid: {', '.join(wrong)}"

    def grant(self, asked: Mapping[str, str], user: User) -> str:
        """The address to which the browser goes with a code."""
        code = secrets.token_urlsafe(16)
        self.codes[code] = _Grant(user, asked["redirect_uri"], asked["code_challenge"], asked["nonce"])
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def exchange(self, form: Mapping[str, str]) -> Mapping[str, object] | None:
        """The tokens for a code or a refresh token, each of which counts once. None: invalid_grant."""
        if form.get("client_id") != CLIENT_ID or "client_secret" in form:
            return None
        if form.get("grant_type") == "refresh_token":
            grant = self.refreshes.pop(form.get("refresh_token", ""), None)
        else:
            grant = self.codes.pop(form.get("code", ""), None)
            if grant and (form.get("redirect_uri") != grant.redirect_uri or _challenge(form) != grant.challenge):
                grant = None
        return None if grant is None else self._tokens(grant)

    def _tokens(self, grant: _Grant) -> Mapping[str, object]:
        assert self.sign is not None
        user, refresh = grant.user, secrets.token_urlsafe(16)
        self.refreshes[refresh] = grant
        claims = {"nonce": grant.nonce, "email": f"{user.name}@example.org", "token_use": "id"}
        return {
            "id_token": self.sign(user, claims, self.ttl),
            # No token of the API.
            "access_token": secrets.token_urlsafe(16),
            "refresh_token": refresh,
            "token_type": "Bearer",
            "expires_in": int(self.ttl.total_seconds()),
        }


class _Handler(BaseHTTPRequestHandler):
    provider: ClassVar["OidcServer"]

    def do_GET(self) -> None:
        path, query = self._note({})
        if path == "/authorize":
            refused = self.provider.allow(query)
            self._answer(400 if refused else 200, "text/html", refused or _FORM)
        elif path == "/logout" and _REDIRECT.fullmatch(query.get("logout_uri", "")):
            self._redirect(query["logout_uri"])
        else:
            self._answer(404, "text/plain", "")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        path, given = self._note(dict(parse_qsl(body)))
        if path == "/authorize":
            user = self.provider.users.get(given.get("user", ""))
            refused = self.provider.allow(given) or (None if user else "unknown user")
            if user is None or refused:
                self._answer(400, "text/html", refused or "")
            else:
                self._redirect(self.provider.grant(given, user))
        elif path == "/token":
            tokens = self.provider.exchange(given)
            self._answer(200 if tokens else 400, "application/json", json.dumps(tokens or {"error": "invalid_grant"}))
        else:
            self._answer(404, "text/plain", "")

    def log_message(self, *_: object) -> None:
        """The test reads `asked`."""

    def _note(self, form: Mapping[str, str]) -> tuple[str, dict[str, str]]:
        address = urlsplit(self.path)
        parameters = {**dict(parse_qsl(address.query)), **form}
        self.provider.asked.append(Asked(self.command, address.path, parameters))
        return address.path, parameters

    def _redirect(self, location: str) -> None:
        self.send_response(302)
        self.send_header("Location", location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _answer(self, status: int, media_type: str, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())


def _challenge(form: Mapping[str, str]) -> str:
    digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
