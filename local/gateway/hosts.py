"""Decide which values of `Host` the gateway serves.

It serves only its own names and those of PANTHEON_HOSTS, because of DNS rebinding. A site whose name resolves to
127.0.0.1 has the same origin as the gateway, but its requests have the site's name.
"""

import re
from collections.abc import Sequence
from typing import Final

from shared.names import LocalEnv

LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")
_NAME: Final = r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])"
_HOST: Final = re.compile(rf"({_NAME})(?::([0-9]{{1,5}}))?")


class Hosts:
    """The names of a gateway that listens on `port`. `others` are names of a proxy in front of it, on any port."""

    def __init__(self, port: int, others: Sequence[str] = ()) -> None:
        self._port = port
        self._others = frozenset(name.lower() for name in others)
        names = [f"http://{name}:{port}" for name in LOOPBACK]
        self.advice: Final = f"Use {', '.join(names[:-1])} or {names[-1]}, or name this host in {LocalEnv.HOSTS}."

    def serves(self, host: str) -> bool:
        """Return whether the value of `Host` names this gateway. Clients leave out HTTP's default port."""
        name, port = split(host) or ("", None)
        return name in self._others or (name in LOOPBACK and port in (None, self._port))


def split(host: str) -> tuple[str, int | None] | None:
    """Return the name in lower case and the port of a value of `Host`, None if it is malformed."""
    match = _HOST.fullmatch(host)
    return match and (match[1].lower(), int(match[2]) if match[2] else None)


def parse(text: str) -> tuple[str, ...]:
    """Split names at commas. Raises ValueError with the invalid name."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if not re.fullmatch(_NAME, name):
            raise ValueError(name)
    return names
