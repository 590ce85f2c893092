"""Without coverage, and without atheris: each target's corpus, and inputs made of it. It says what raised, as JSON.

python -m tests.fuzz.replay --seed 4 --mutants 60 messages cursors
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


def replay(name: str, target: Target, number: int, seed: int) -> tuple[int, list[str]]:
    """Return the number of inputs, and the exception of each failed one."""
    seeds = corpus(name)
    made = islice(mutants(seeds, target.words, random.Random(f"{seed}:{name}")), number)
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
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--mutants", type=int, default=60, help="inputs beside the corpus (60)")
    arguments = parser.parse_args()
    logging.disable()
    with tempfile.TemporaryDirectory(prefix="pantheon-fuzz-") as directory, served(Path(directory)) as environment:
        os.environ.update(environment)
        with redirect_stdout(sys.stderr):
            found = {name: replay(name, TARGETS[name], arguments.mutants, arguments.seed) for name in arguments.names}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
