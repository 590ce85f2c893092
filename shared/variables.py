"""Refuse unknown environment variables with Pantheon's prefix, because a misspelt one would have no effect."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from shared.errors import ConfigurationError
from shared.names import CliEnv, DeployEnv, Env, LocalEnv

PREFIX: Final = "PANTHEON_"
KNOWN: Final = frozenset(name.value for names in (Env, LocalEnv, CliEnv, DeployEnv) for name in names)


def check(environ: Mapping[str, str]) -> None:
    """Check the names. Raises ConfigurationError that names each unknown variable and a similar known one.

    Empty variables are ignored. A catalog may name further variables, for providers' keys."""
    unknown = [name for name, value in environ.items() if value and name.startswith(PREFIX) and name not in KNOWN]
    if unknown:
        named = _named_by_catalog(environ.get(Env.CATALOG, ""))
        faults = [_fault(name) for name in sorted(unknown) if name not in named]
        if faults:
            raise ConfigurationError(" ".join(faults))


def _named_by_catalog(path: str) -> frozenset[str]:
    """Return the variables after `env:` in the file. The catalog is checked later."""
    try:
        text = Path(path).read_text("utf-8") if path else ""
    except (OSError, ValueError):
        text = ""
    return frozenset(re.findall(r"\benv:(\w+)", text))


def _fault(name: str) -> str:
    # Imported here, because only an error needs it.
    from difflib import get_close_matches

    alike = get_close_matches(name.removeprefix(PREFIX), [known.removeprefix(PREFIX) for known in KNOWN], 1)
    advice = f"Did you mean {PREFIX}{alike[0]}?" if alike else "Remove it."
    return f"{name} is not a variable of Pantheon. {advice}"
