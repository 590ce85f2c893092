"""Check that a tag names this checkout's version: `python -m local.version v0.2.0`."""

import argparse
import re
import sys
from pathlib import Path

from shared.names import VERSION

CHANGELOG = Path(__file__).parents[1] / "CHANGELOG.md"


def fault(tag: str, changelog: str) -> str | None:
    """Return the reason why `tag` cannot be released, or None."""
    if tag != f"v{VERSION}":
        return (
            f"The tag {tag} is not the version of the code, v{VERSION}. Change VERSION in shared/names.py, or the tag."
        )
    if not re.search(rf"^## {re.escape(VERSION)} - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE):
        return f"CHANGELOG.md has no date for {VERSION}. Write the date into its heading: `## {VERSION} - 2026-01-31`."
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tag")
    found = fault(parser.parse_args().tag, CHANGELOG.read_text())
    if found is not None:
        print(found, file=sys.stderr)
    return int(found is not None)


if __name__ == "__main__":
    sys.exit(main())
