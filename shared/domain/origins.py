"""Read the list of origins whose pages may read our responses (CORS)."""

import re
from typing import Final

from shared.errors import ConfigurationError
from shared.names import Env

_ANY_PORT: Final = ("http://localhost:*", "http://127.0.0.1:*")
# Browsers send scheme and host in lower case.
_ORIGIN: Final = re.compile(r"https?://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:(?P<port>[1-9][0-9]{0,4}))?")
_LAST_PORT: Final = 65535


def origin_pattern(origins: str) -> str | None:
    """Return a regular expression that fully matches each allowed origin.

    Args:
        origins: Origins with commas between them. `http://localhost:*` and `http://127.0.0.1:*` allow any port.

    Returns:
        The expression, or None when the list is empty.

    Raises:
        ConfigurationError: An entry is not an origin.
    """
    entries = [entry.strip() for entry in origins.split(",") if entry.strip()]
    return "|".join(map(_pattern, entries)) or None


def _pattern(entry: str) -> str:
    if entry in _ANY_PORT:
        return f"{re.escape(entry.removesuffix(':*'))}(?::[0-9]{{1,5}})?"
    found = _ORIGIN.fullmatch(entry)
    if found is None or int(found["port"] or 1) > _LAST_PORT:
        raise ConfigurationError(
            f"{Env.CORS_ORIGINS}: '{entry}' is not an origin. An origin is https://host or http://host:port, in lower "
            "case and without a path. Only http://localhost:* and http://127.0.0.1:* may leave the port open."
        )
    return re.escape(entry)
