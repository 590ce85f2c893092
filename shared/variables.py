"""Refuse environment variables of Pantheon's prefix that nothing reads: a misspelt one would have no effect."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from shared.errors import ConfigurationError
from shared.names import CliEnv, DeployEnv, Env, LocalEnv

PREFIX: Final = "PANTHEON_"
KNOWN: Final = frozenset(name.value for names in (Env, LocalEnv, CliEnv, DeployEnv) for name in names)


def check(environ: Mapping[str, str]) -> None:
    """Raise ConfigurationError that names each unknown variable and the one that was probably meant.

    A variable without a value is ignored. A catalog may name further variables that have the keys of providers."""
    unknown = [name for name, value in environ.items() if value and name.startswith(PREFIX) and name not in KNOWN]
    if unknown:
        named = _named_by_catalog(environ.get(Env.CATALOG, ""))
        faults = [_fault(name) for name in sorted(unknown) if name not in named]
        if faults:
            raise ConfigurationError(" ".join(faults))


def _named_by_catalog(path: str) -> frozenset[str]:
    """The variables after `env:` in the file. The catalog itself is read and checked later."""
    try:
        text = Path(path).read_text("utf-8") if path else ""
    except (OSError, ValueError):
        text = ""
    return frozenset(re.findall(r"\benv:(\w+)", text))


def _fault(name: str) -> str:
    # Here and not at the top: no function needs it to start.
    from difflib import get_close_matches

    alike = get_close_matches(name.removeprefix(PREFIX), [known.removeprefix(PREFIX) for known in KNOWN], 1)
    advice = f"Did you mean {PREFIX}{alike[0]}?" if alike else "Remove it."
    return f"{name} is not a variable of Pantheon. {advice}"
