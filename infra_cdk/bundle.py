"""Write the bundle for Lambda, unpacked: layers, and a folder for each function.

python -m infra_cdk.bundle --out build                        for Lambda: arm64
python -m infra_cdk.bundle --out build --machine x86_64       for this kind of machine

The same lock files and sources give the same bytes on any machine, without Docker.
"""

import argparse
import csv
import hashlib
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Final

from infra_cdk.assets import CORE, FUNCTIONS, LOOP, TASK, Assets
from infra_cdk.authorities import UnreviewedAuthorities, keep
from infra_cdk.entries import API, DEPENDENCIES, ENTRIES, LANGGRAPH, VERIFICATION, WITH_GRAPHS, Entry
from infra_cdk.stages_file import chosen
from shared.commit import COMMIT_FILE, checked_out
from shared.errors import ConfigurationError

ROOT: Final = Path(__file__).parents[1]
PYTHON: Final = "3.13"
# Amazon Linux 2023 has glibc 2.34, which runs wheels for an older one.
PLATFORM: Final = "{machine}-manylinux_2_28"
# The limit of a function and its two layers, unpacked. Lambda's own limit is 250 MB.
LIMIT_MB: Final = 80
# The limit of the function for graphs. The user's package gets the rest of Lambda's limit.
GRAPHS_LIMIT_MB: Final = 120
# The lock file of a layer.
_LOCKS: Final = {LANGGRAPH: "functions/graphs/requirements.txt"}
_LOCK: Final = "functions/requirements.txt"
# The distributions that no function with the layer imports.
_LEFT_OUT: Final = {
    DEPENDENCIES: ("cffi", "cryptography", "pycparser", "pyjwt"),
    VERIFICATION: (
        "alembic",
        "awslambdaric",
        "fastapi",
        "mako",
        "mangum",
        "markupsafe",
        "simplejson",
        "snapshot_restore_py",
        "sqlalchemy",
        "starlette",
    ),
    LANGGRAPH: (
        *("alembic", "awslambdaric", "cffi", "cryptography", "fastapi", "mako", "mangum", "markupsafe", "pycparser"),
        *("pyjwt", "simplejson", "snapshot_restore_py", "sqlalchemy", "starlette"),
    ),
}
# Parts of distributions that no function imports.
_UNUSED_PARTS: Final = (
    "aws_lambda_powertools/event_handler",
    "sqlalchemy/dialects/mssql",
    "sqlalchemy/dialects/mysql",
    "sqlalchemy/dialects/oracle",
)
_IGNORED: Final = shutil.ignore_patterns("__pycache__", "*.pyc", "script.py.mako", "requirements.txt")
PAGES: Final = ("functions/api/console", "functions/api/reference")
_UV: Final = Path(sys.executable).with_name("uv")
# The AWS services that functions call. The bundle drops boto3's other four hundred descriptions.
SERVICES: Final = ("bedrock-runtime", "s3", "secretsmanager", "sqs")
_LAYER: Final = "/opt"
# A program that Lambda starts must be executable, independent of checkout and umask.
_EXECUTABLE: Final = 0o755


def bundle(
    out: Path, machine: str, authorities: Path | None, python: str | None, *, with_graphs: bool = False
) -> Assets:
    """Empty `out` and write the bundle to it.

    Args:
        machine: the architecture of the wheels.
        authorities: a PEM file of RDS's authorities, which the database's owner needs to connect.
        python: an interpreter of Lambda's version, which compiles. Without it, Lambda compiles at every start.
        with_graphs: whether to add the function for graphs and its layer.

    Raises: UnreviewedAuthorities, if the certificates of a stage's Region are not the reviewed ones."""
    certificates = None if authorities is None else keep(authorities)
    if out.exists():
        shutil.rmtree(out)
    assets, entries = Assets.of(out), WITH_GRAPHS if with_graphs else ENTRIES
    libraries = {name: assets.libraries[name] for name in {entry.libraries: None for entry in entries}}
    for name, folder in libraries.items():
        _install(folder / "python", machine, _LEFT_OUT[name], _LOCKS.get(name, _LOCK))
    for package in ("shared", "migrations"):
        shutil.copytree(ROOT / package, assets.core / "python" / package, ignore=_IGNORED)
    for statement in ("NOTICE", "functions/sbom.cdx.json"):
        shutil.copy(ROOT / statement, assets.core)
    if certificates is not None:
        (assets.core / "rds-ca.pem").write_text(certificates)
    for entry in entries:
        _copy_function(entry, assets.function(entry.name))
    # Only `api` reports the commit. In a layer, each commit would make a new version of every function.
    if (commit := checked_out(ROOT)) is not None:
        (assets.function(API.name) / "functions" / API.name / COMMIT_FILE).write_text(f"{commit}\n")
    if python is not None:
        for folder in (*libraries.values(), assets.core):
            _compile(python, folder, _LAYER)
        for entry in entries:
            _compile(python, assets.function(entry.name), TASK)
    return assets


def _install(target: Path, machine: str, left_out: Iterable[str], lock: str) -> None:
    command: list[str | Path] = [_UV, "pip", "install", "--quiet", "--target", target, "--require-hashes", "--no-deps"]
    command += ["--only-binary", ":all:", "--python-version", PYTHON]
    command += ["--python-platform", PLATFORM.format(machine=machine)]
    subprocess.run([*command, "-r", ROOT / lock], check=True)
    # Scripts contain the paths of this machine.
    shutil.rmtree(target / "bin", ignore_errors=True)
    (target / ".lock").unlink(missing_ok=True)
    for name in left_out:
        _remove(target, name)
    for record in target.glob("*.dist-info/RECORD"):
        record.unlink()
    for tests in (*target.glob("*/testing"), *target.glob("*/tests")):
        shutil.rmtree(tests)
    for part in _UNUSED_PARTS:
        # The layer may not have the distribution.
        if (target / part).parent.exists():
            shutil.rmtree(target / part)
    for service in (target / "botocore" / "data").iterdir():
        if service.is_dir() and service.name not in SERVICES:
            shutil.rmtree(service)


def _remove(target: Path, name: str) -> None:
    """Remove the files in a distribution's record, and the folders that become empty."""
    (record,) = [path for path in target.glob("*.dist-info/RECORD") if path.parent.name.lower().startswith(f"{name}-")]
    paths = [target / row[0] for row in csv.reader(record.read_text().splitlines())]
    for path in paths:
        path.unlink(missing_ok=True)
    for folder in sorted(
        {folder for path in paths for folder in path.parents if target in folder.parents}, reverse=True
    ):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _copy_function(entry: Entry, target: Path) -> None:
    source, package = ROOT / "functions", target / "functions"
    shutil.copytree(source / entry.name, package / entry.name, ignore=_left_out)
    # Files that all services share.
    for path in source.glob("*.py"):
        shutil.copy(path, package)
    if entry.streams:
        shutil.copy(ROOT / LOOP, target / LOOP)
        (target / LOOP).chmod(_EXECUTABLE)


def _left_out(folder: str, names: list[str]) -> set[str]:
    """Return the names that the bundle leaves out: of a page, all but its build."""
    if Path(folder) in (ROOT / page for page in PAGES):
        return {name for name in names if name != "dist"}
    return _IGNORED(folder, names)


def _compile(python: str, folder: Path, unpacked_at: str) -> None:
    """Compile each source beside itself, unchecked at run time and with Lambda's path in it."""
    command = [python, "-m", "compileall", "-q", "-j", "1", "--invalidation-mode", "unchecked-hash"]
    command += ["-s", str(folder), "-p", unpacked_at, str(folder)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": "0"})


def is_lambdas(python: str) -> bool:
    """Return whether `python` runs here and has Lambda's version."""
    if shutil.which(python) is None:
        return False
    # A shim may name a version that is not installed.
    says = subprocess.run([python, "--version"], capture_output=True, text=True, check=False).stdout
    return says.startswith(f"Python {PYTHON}.")


def digest(folder: Path) -> str:
    """Return one hash of all names, contents and executable bits."""
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content, executable = path.read_bytes(), bool(path.stat().st_mode & stat.S_IXUSR)
        whole.update(f"{path.relative_to(folder)}\0{len(content)}\0{executable:d}\0".encode() + content)
    return whole.hexdigest()


def megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def report(out: Path) -> bool:
    """Print sizes and hashes. Return whether every function with its layers is within its limit."""
    sizes = {}
    layers = [out / name for name in _LEFT_OUT if (out / name).exists()]
    for folder in (*layers, out / CORE, *sorted((out / FUNCTIONS).iterdir())):
        name = str(folder.relative_to(out))
        sizes[name] = megabytes(folder)
        print(f"  {name:<22} {sizes[name]:6.2f} MB  {digest(folder)[:16]}")
    whole = {
        entry: sizes[CORE] + sizes[entry.libraries] + sizes[f"{FUNCTIONS}/{entry.name}"]
        for entry in WITH_GRAPHS
        if f"{FUNCTIONS}/{entry.name}" in sizes
    }
    largest = max(size for entry, size in whole.items() if not entry.runs_graphs)
    print(f"  the largest function and its layers: {largest:.1f} MB of {LIMIT_MB}")
    of_graphs = max((size for entry, size in whole.items() if entry.runs_graphs), default=0.0)
    if of_graphs:
        print(f"  the function for graphs and its layers: {of_graphs:.1f} MB of {GRAPHS_LIMIT_MB}")
    return largest <= LIMIT_MB and of_graphs <= GRAPHS_LIMIT_MB


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build"), help="the folder of the bundle (build)")
    parser.add_argument("--machine", default="aarch64", choices=("aarch64", "x86_64"))
    parser.add_argument("--python", default=f"python{PYTHON}", help=f"the interpreter that compiles (python{PYTHON})")
    parser.add_argument("--authorities", type=Path, help="a PEM file of RDS's authorities, which a deployment needs")
    parser.add_argument("--verify", action="store_true", help="bundle twice, and fail if the bytes differ")
    parser.add_argument("--stages", default="", help="names of stages; LangGraph is added if one has graphs")
    parser.add_argument(
        "--deploy", action="store_true", help="fail without authorities or without an interpreter that compiles"
    )
    given = parser.parse_args()
    python = given.python if is_lambdas(given.python) else None
    if given.deploy and given.authorities is None:
        parser.error("a deployment needs RDS's certificates: --authorities FILE")
    if given.deploy and python is None:
        parser.error(f"a deployment is compiled, and {given.python} is no Python {PYTHON}")
    try:
        with_graphs = any(stage.graphs for stage in chosen(given.stages.split()))
        make = partial(bundle, given.out, given.machine, given.authorities, python, with_graphs=with_graphs)
        make()
    except (ConfigurationError, UnreviewedAuthorities) as error:
        print(error, file=sys.stderr)
        return 1
    if given.verify:
        first = digest(given.out)
        make()
        if digest(given.out) != first:
            print("Two bundles of the same sources differ.", file=sys.stderr)
            return 1
    if not report(given.out):
        print("A function and its layers are larger than their limit.", file=sys.stderr)
        return 1
    if python is None:
        print(f"  not compiled: {given.python} is no Python {PYTHON}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
