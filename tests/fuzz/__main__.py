"""Fuzz one target, guided by coverage.

libFuzzer reads the arguments after the target's name: options, and folders of inputs. The exit code is 1 at the first
input for which the target raises. libFuzzer stores that input in a file.
"""

import logging
import os
import sys
from importlib import import_module

import atheris

from tests.fuzz.target import Target

INSTRUMENTED = ["functions", "shared", "tests.fuzz"]


def main() -> None:
    name, *options = sys.argv[1:]
    with atheris.instrument_imports(include=INSTRUMENTED):
        target: Target = import_module("tests.fuzz.targets").TARGETS[name]
        if target.stores:
            import_module("tests.fuzz.stage").handlers()
    logging.disable()
    # Metrics go there, and libFuzzer's own words elsewhere.
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 for as long as this process lives
    atheris.Setup([sys.argv[0], *options], target.attempt)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
