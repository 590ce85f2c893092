"""Try the corpus of each target and inputs made from it, without atheris, and print what raised as JSON.

python -m tests.fuzz.replay messages cursors
"""

import argparse
import json
import logging
import os
import random
import sys
import tempfile
import traceback
from contextlib import redirect_stdout
from itertools import islice
from pathlib import Path

from tests.fuzz.stage import served
from tests.fuzz.target import Target, corpus, mutants
from tests.fuzz.targets import TARGETS

# Each run makes the same inputs beside the corpus.
_SEED, _MADE = 4, 60


def replay(name: str, target: Target) -> tuple[int, list[str]]:
    """Return how many inputs were tried, and what was raised for which."""
    seeds = corpus(name)
    made = islice(mutants(seeds, target.words, random.Random(f"{_SEED}:{name}")), _MADE)
    tried, raised = 0, []
    for data in (*seeds, *made):
        tried += 1
        try:
            target.attempt(data)
        except Exception:  # noqa: BLE001 that is what is looked for
            raised.append(f"{data!r}\n{traceback.format_exc()}")
    return tried, raised


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.replay", description=__doc__)
    parser.add_argument("names", nargs="+", choices=[*TARGETS])
    arguments = parser.parse_args()
    logging.disable()
    with tempfile.TemporaryDirectory(prefix="pantheon-fuzz-") as directory, served(Path(directory)) as environment:
        os.environ.update(environment)
        with redirect_stdout(sys.stderr):
            found = {name: replay(name, TARGETS[name]) for name in arguments.names}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
