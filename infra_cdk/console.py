"""Build the console's pages from functions/api/console, with Node.js and npm of the CDK's wheel.

The built files are part of the repository, so other commands need no Node.js. `--check` builds again and compares.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Final

from infra_cdk.built_files import differences
from infra_cdk.console_packages import SOURCE, TEXTS, texts
from infra_cdk.node_packages import NodePackages

BUILT: Final = SOURCE / "dist"
_PACKAGES: Final = NodePackages(SOURCE)


def build(out: Path) -> None:
    """Write the pages to `out`."""
    _PACKAGES.run("openapi-typescript/bin/cli.js", "../openapi.json", "--output", "src/api/schema.d.ts", quiet=True)
    _PACKAGES.run("typescript/bin/tsc", "--noEmit")
    _PACKAGES.run("vite/bin/vite.js", "build", "--logLevel", "warn", "--emptyOutDir", "--outDir", str(out))
    (out / TEXTS).write_text(texts())


def check_source() -> None:
    """Lint the source and run its unit tests."""
    _PACKAGES.run("@biomejs/biome/bin/biome", "check", "--error-on-warnings", ".")
    _PACKAGES.node("--test", "--test-reporter=dot", "src/**/*.test.ts")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m infra_cdk.console", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail if the built files differ from a new build"
    )
    parser.add_argument("--install", action="store_true", help="only install the tools")
    asked = parser.parse_args(arguments)
    _PACKAGES.install()
    if asked.install:
        return 0
    if not asked.check:
        build(BUILT)
        return 0
    check_source()
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder, "dist")
        build(built)
        changed = differences(built, BUILT)
    for name in changed:
        print(f"functions/api/console/dist/{name} differs from what the source builds. Run `make console`.")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
