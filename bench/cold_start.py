"""Measure the start (INIT) of each function beside that of its libraries, by Lambda's own emulator.

    make cold-start

Each function starts in turn with a handler that only imports the same libraries. Ratios hold from machine to machine;
times do not. On AWS, functions that somebody waits for start from a snapshot.

The bare handler runs with the garbage collector on. `--alike` turns it off there, too, as our functions do. The
difference is then the time of our own modules.
"""

import argparse
import os
import statistics
import subprocess
import tempfile
from pathlib import Path

from infra_cdk.entries import ENTRIES, TURNS
from local.emulator import Function, emulate

PYTHON = os.environ["PYTHON313"]
LIMIT = 1.15
OURS = ("functions", "shared", "migrations")
# Print the modules of others that a handler loads, in their order.
_LIBRARIES = """
import sys
before = set(sys.modules)
import functions.{name}.handler
print(*(m for m in sys.modules if m not in before and m.partition(".")[0] not in {ours}))
"""
_BARE = """
from contextlib import suppress
from importlib import import_module
import gc
if {alike}:
    gc.disable()
for name in {libraries}:
    with suppress(ImportError):
        import_module(name)
def handler(event, context): return {{}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=11, help="of each (11)")
    parser.add_argument("--alike", action="store_true", help="no garbage collector for the bare handler either")
    parser.add_argument("--bundle", type=Path, default=Path("build/rie"))
    parser.add_argument("--tools", type=Path, default=Path("build/rie-tools"))
    given = parser.parse_args()
    print(f"{'function':<10} {'INIT':>10} {'bare':>10} {'ratio':>7}")
    with tempfile.TemporaryDirectory() as folder:
        for entry in sorted(ENTRIES, key=lambda entry: entry.name):
            name = entry.name
            layers = [given.bundle / "core" / "python", given.bundle / entry.libraries / "python"]
            paths = [path.resolve() for path in (given.bundle / "functions" / name, *layers)]
            bare = _write_bare(Path(folder) / name, name, paths, given.alike)
            function, floor = _measure(name, bare, paths, given.tools.resolve(), given.starts)
            ratio = function / floor
            print(
                f"{name:<10} {function:7.0f} ms {floor:7.0f} ms {ratio:7.2f}{'' if ratio <= LIMIT else '  above 1.15'}"
            )


def _write_bare(folder: Path, name: str, paths: list[Path], alike: bool) -> Path:
    """A handler that imports what the function's imports of others, compiled as the bundle is."""
    environment = {"PYTHONPATH": os.pathsep.join(map(str, paths)), "PATH": os.environ["PATH"]}
    program = _LIBRARIES.format(name=name, ours=OURS)
    loaded = subprocess.run(
        [PYTHON, "-c", program], env=environment, cwd=paths[0], capture_output=True, text=True, check=True
    )
    folder.mkdir()
    (folder / "bare.py").write_text(_BARE.format(libraries=loaded.stdout.split(), alike=alike))
    subprocess.run([PYTHON, "-m", "compileall", "-q", folder], check=True)
    return folder


def _measure(name: str, bare: Path, paths: list[Path], tools: Path, starts: int) -> tuple[float, float]:
    """Medians in milliseconds, of the function and of the bare handler."""
    loop = "functions.runtime" if name == TURNS.name else "awslambdaric"
    cases = [
        Function(f"functions.{name}.handler.handler", paths, {}, tools, PYTHON, loop),
        Function("bare.handler", [bare, *paths[1:]], {}, tools, PYTHON),
    ]
    times: list[list[float]] = [[], []]
    for start in range(starts + 1):
        for case, measured in zip(cases, times, strict=True):
            with emulate(case, bare / "log") as emulator:
                emulator.invoke({})
                # The first reads from a disk that has not been asked before.
                if start:
                    measured.append(emulator.init_ms)
    function, floor = map(statistics.median, times)
    return function, floor


if __name__ == "__main__":
    main()
