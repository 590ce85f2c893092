"""Run the drill against the release before, and that release's suite on this one's schema. Ends with 1 where something
was found.

    make drill                      against the last tag, or else the commit before the newest migration
    make drill PREVIOUS=c9b85ba
"""

import argparse
import json
import sys
import time
from pathlib import Path

from tests.drill import suite
from tests.drill.cases import sample
from tests.drill.checkout import ROOT, NoHistory, copy, lay_out, previous, resolve
from tests.drill.drill import prepare

BUILD = ROOT / "build" / "drill"


def say(text: str) -> None:
    sys.stdout.write(f"  {text}\n")
    sys.stdout.flush()


def check() -> int:
    """Check the drill itself: with the same release twice, with a renamed column, and with a release that refuses
    turns.
    """
    folder = BUILD / "check"
    copy(folder)
    found = [_sample(folder)]
    for path in (folder / "shared").rglob("*.py"):
        path.write_text(path.read_text().replace("expired_claims", "claims_that_expired"))
    found.append(_sample(folder))
    copy(folder)
    intents = folder / "shared" / "db" / "sql" / "intents.sql"
    intents.write_text(intents.read_text().replace("public.budgets", "public.budgets_of_another_schema"))
    found.append(_sample(folder, begins=True))
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


def _sample(before: Path, *, begins: bool = False) -> list[str]:
    with prepare(before, ROOT, "the release before", lambda _: None) as drill:
        releases = (drill.before, drill.now) if begins else (drill.now, drill.before)
        drill.one_way(*releases, sample())
        return [kind for _, (kind, _) in drill.found]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.drill", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--previous", default="", help="the release before, as git names it")
    parser.add_argument("--only", choices=("handlers", "suite", "check"), help="a part of it; check is of the tests")
    given = parser.parse_args()
    if given.only == "check":
        return check()
    try:
        commit = resolve(given.previous or previous())
    except NoHistory as error:
        parser.error(str(error))
    name, folder = commit[:7], BUILD / "previous"
    lay_out(commit, folder)
    if (folder / suite.LOCK).read_bytes() != (ROOT / suite.LOCK).read_bytes():
        say(f"{suite.LOCK} differs; {name} runs here with the libraries of this checkout")
    failed = False
    if given.only != "suite":
        began = time.monotonic()
        copy(BUILD / "this")
        with prepare(folder, BUILD / "this", name, say) as drill:
            say(f"{name} was written for {drill.heads[0]}, this release for {drill.heads[1]}")
            drill.run()
        for where, (kind, text) in drill.found:
            say(f"FOUND {where}: {kind}: {text}")
        failed = bool(drill.found)
        say(f"{time.monotonic() - began:.0f} s")
    if given.only != "handlers":
        failed |= suite.run(commit, BUILD / "suite") != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
