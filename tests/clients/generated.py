"""Generate clients from the committed OpenAPI document, and run the programs that use them."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from functions.api.status import OPENAPI
from tests.clients.program import ENVIRONMENTS, HERE, node, python_of

_TYPESCRIPT: Final = ENVIRONMENTS / "typescript"
_PYTHON: Final = "openapi-python"


def generate_python(folder: Path) -> None:
    """Write the package `pantheon_client` to `folder`."""
    config = folder / "config.yml"
    # The formatter that it would run is in no environment.
    config.write_text("post_hooks: []\npackage_name_override: pantheon_client\n")
    program = python_of(_PYTHON).with_name("openapi-python-client")
    asked: list[str | Path] = ["generate", "--path", OPENAPI, "--config", config, "--meta", "none"]
    _run([program, *asked, "--output-path", folder / "pantheon_client"], folder, {})


def run_python(folder: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    """Run the program that uses the package in `folder`, and return what it printed."""
    program = HERE / "programs/openapi_python.py"
    return _printed([python_of(_PYTHON), program], folder, {**environ, "PYTHONPATH": str(folder)})


def generate_typescript() -> None:
    """Write both clients into their environment, and compile the programs that use them."""
    assert _TYPESCRIPT.exists(), "Run `make build/clients/typescript/ok` first."
    for source in (*(HERE / "typescript").glob("*.ts"), *(HERE / "typescript").glob("*config.js*")):
        shutil.copy(source, _TYPESCRIPT)
    shutil.copy(OPENAPI, _TYPESCRIPT / "openapi.json")
    types = ("openapi-typescript/bin/cli.js", "openapi.json", "--default-non-nullable", "false", "-o", "schema.d.ts")
    for script, *arguments in (types, ("@hey-api/openapi-ts/bin/run.js",), ("typescript/bin/tsc",)):
        _run([node(), _TYPESCRIPT / "node_modules" / script, *arguments], _TYPESCRIPT, {})


def run_typescript(program: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """Run a compiled program, and return what it printed."""
    return _printed([node(), _TYPESCRIPT / f"compiled/{program}.js"], _TYPESCRIPT, environ)


def run_commands(commands: str, folder: Path) -> None:
    """Run shell commands in `folder` with the installed generators, because `npx` would download them."""
    places = (python_of(_PYTHON).parent, _TYPESCRIPT / "node_modules/.bin", node().parent)
    environ = {"PATH": os.pathsep.join([*map(str, places), os.defpath])}
    _run(["bash", "-euc", re.sub(r"npx (@[\w-]+/)?", "", commands)], folder, environ)


def _printed(command: Sequence[str | Path], folder: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    printed: dict[str, Any] = json.loads(_run(command, folder, environ).splitlines()[-1])
    return printed


def _run(command: Sequence[str | Path], folder: Path, environ: Mapping[str, str]) -> str:
    given = {"PATH": str(node().parent), "HOME": str(ENVIRONMENTS), "NO_PROXY": "127.0.0.1", **environ}
    ran = subprocess.run(command, cwd=folder, env=given, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout
