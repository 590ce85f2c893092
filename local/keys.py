"""`pantheon keys`: make, list and revoke API keys over HTTP, at any deployment."""

import argparse
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from shared.names import API_PREFIX, CliEnv

if TYPE_CHECKING:
    import httpx
    from rich.console import Console

DEFAULT_URL: Final = "http://127.0.0.1:8000"
_TIMEOUT_S: Final = 30.0
_SHOWN: Final = ("id", "name", "role", "prefix", "created_by", "created_at", "expires_at", "last_used_at", "revoked_at")
_Duration = Callable[[str], timedelta]


class KeysError(Exception):
    """The deployment refuses, or does not answer. The text is one line."""


def add_parser(commands: Any, duration: _Duration) -> None:
    """The command and its options."""
    keys = commands.add_parser(
        "keys",
        help="make, list or revoke API keys",
        description="Make, list or revoke API keys. A key acts as you, until it expires or is revoked. It cannot make, "
        "list or revoke keys itself: these commands take a token.",
    )
    actions = keys.add_subparsers(dest="action", required=True, metavar="action")
    create = actions.add_parser("create", help="make a key and print it, this once")
    create.add_argument("name", help="what the key is for")
    create.add_argument("--role", choices=("member", "admin"), default="member", help="at most your own role (member)")
    create.add_argument("--expires-in", type=duration, metavar="D", help="how long it is good for, as in 90d (no end)")
    listing = actions.add_parser("list", help="list your keys; an administrator's list has the whole tenant's")
    revoke = actions.add_parser("revoke", help="revoke a key; it is refused within 60 s")
    revoke.add_argument("id", help="the key's id, from the list")
    for action in (create, listing, revoke):
        action.add_argument("--url", help=f"where Pantheon is; or {CliEnv.URL} ({DEFAULT_URL})")
        action.add_argument("--token", help=f"who you are; or {CliEnv.TOKEN}")


def run(given: argparse.Namespace, console: "Console") -> None:
    """Do what the command says. Raises KeysError."""
    # `pantheon token` reads this module and needs none of it.
    import httpx

    token = given.token or os.environ.get(CliEnv.TOKEN)
    if not token:
        raise KeysError(f"There is no token: give --token or set {CliEnv.TOKEN}.")
    url = (given.url or os.environ.get(CliEnv.URL) or DEFAULT_URL).rstrip("/")
    headers = {"Authorization": f"Bearer {token}"}
    try:
        with httpx.Client(base_url=f"{url}{API_PREFIX}/", headers=headers, timeout=_TIMEOUT_S) as http:
            _ACTIONS[given.action](http, given, console)
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        raise KeysError(f"{url} cannot be reached: {type(error).__name__}.") from error


def _create(http: "httpx.Client", given: argparse.Namespace, console: "Console") -> None:
    expires_at = None
    if given.expires_in is not None:
        expires_at = (datetime.now(UTC) + given.expires_in).isoformat(timespec="seconds")
    body = {"name": given.name, "role": given.role, "expires_at": expires_at}
    made = _answer(http.post("api-keys", json=body)).json()
    console.print(f"Made key {made['id']}. It is shown this once:", markup=False)
    # On a line of its own, and never wrapped, so that it can be copied and cut out.
    console.out(made["key"], highlight=False)


def _list(http: "httpx.Client", _: argparse.Namespace, console: "Console") -> None:
    rows = [_SHOWN, *(tuple(str(key[name] or "-") for name in _SHOWN) for key in _every(http))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        # A line is a key, however narrow the terminal is.
        console.out("  ".join(map(str.ljust, row, widths)).rstrip(), highlight=False)


def _every(http: "httpx.Client") -> Iterator[dict[str, Any]]:
    cursor: str | None = None
    while True:
        query = {"limit": 100} | ({"cursor": cursor} if cursor else {})
        page = _answer(http.get("api-keys", params=query)).json()
        yield from page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return


def _revoke(http: "httpx.Client", given: argparse.Namespace, console: "Console") -> None:
    _answer(http.delete(f"api-keys/{quote(given.id, safe='')}"))
    console.print(f"Revoked key {given.id}. It is refused everywhere within 60 s.", markup=False)


def _answer(response: "httpx.Response") -> "httpx.Response":
    if response.is_success:
        return response
    try:
        told = response.json()
        reason = told.get("detail") or told.get("message")
    except (ValueError, AttributeError):
        reason = None
    raise KeysError(f"{response.status_code}: {reason or response.reason_phrase}")


_ACTIONS: Final = {"create": _create, "list": _list, "revoke": _revoke}
