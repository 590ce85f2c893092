"""Make, list and revoke API keys of a deployment over HTTP, for `pantheon keys`."""

import argparse
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from local.deployment import Deployment, add_options, connect

if TYPE_CHECKING:
    from rich.console import Console

_SHOWN: Final = ("id", "name", "role", "prefix", "created_by", "created_at", "expires_at", "last_used_at", "revoked_at")
_Duration = Callable[[str], timedelta]


def add_parser(commands: Any, duration: _Duration) -> None:
    keys = commands.add_parser(
        "keys",
        help="make, list or revoke API keys",
        description="Make, list or revoke API keys. A key acts as you until it expires or is revoked. A key cannot "
        "make, list or revoke keys, so these commands need a token.",
    )
    actions = keys.add_subparsers(dest="action", required=True, metavar="action")
    create = actions.add_parser("create", help="make a key and print it; it is never shown again")
    create.add_argument("name", help="what the key is for")
    create.add_argument("--role", choices=("member", "admin"), default="member", help="at most your own role (member)")
    create.add_argument("--expires-in", type=duration, metavar="D", help="how long it is valid, such as 90d (no end)")
    listing = actions.add_parser("list", help="list your keys; an administrator gets all keys of the tenant")
    revoke = actions.add_parser("revoke", help="revoke a key; every server refuses it within 60 s")
    revoke.add_argument("id", help="the key's id, from the list")
    for action in (create, listing, revoke):
        add_options(action)


def run(given: argparse.Namespace, console: "Console") -> None:
    """Run the command. Raises DeploymentError."""
    with connect(given, os.environ) as there:
        _ACTIONS[given.action](there, given, console)


def _create(there: Deployment, given: argparse.Namespace, console: "Console") -> None:
    expires_at = None
    if given.expires_in is not None:
        expires_at = (datetime.now(UTC) + given.expires_in).isoformat(timespec="seconds")
    body = {"name": given.name, "role": given.role, "expires_at": expires_at}
    made = there.ask("POST", "api-keys", body)
    console.print(f"Made key {made['id']}. It is shown only once:", markup=False)
    # On one line of its own, so that it can be copied.
    console.out(made["key"], highlight=False)


def _list(there: Deployment, _: argparse.Namespace, console: "Console") -> None:
    rows = [_SHOWN, *(tuple(str(key[name] or "-") for name in _SHOWN) for key in there.items("api-keys"))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        # One line a key, without wrapping, so that a script can read it.
        console.out("  ".join(map(str.ljust, row, widths)).rstrip(), highlight=False)


def _revoke(there: Deployment, given: argparse.Namespace, console: "Console") -> None:
    there.ask("DELETE", f"api-keys/{quote(given.id, safe='')}")
    console.print(f"Revoked key {given.id}. It is refused everywhere within 60 s.", markup=False)


_ACTIONS: Final = {"create": _create, "list": _list, "revoke": _revoke}
