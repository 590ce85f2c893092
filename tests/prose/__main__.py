"""`python -m tests.prose [PATH...]`: print each line that breaks a rule of prose.

Without a path it reads the tree, except the entries of unfinished.txt. It ends with 1 when a line breaks a rule.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

from tests.prose.tree import ROOT, check, files, finished, tree


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.prose", description=__doc__)
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="a file or a folder")
    parser.add_argument("--all", action="store_true", help="read the entries of unfinished.txt, too")
    parser.add_argument("--counts", action="store_true", help="print only the number of findings of each folder")
    options = parser.parse_args()
    if options.paths:
        chosen = list(files(path.resolve() for path in options.paths))
    else:
        chosen = tree() if options.all else finished()
    counts: Counter[str] = Counter()
    for file in chosen:
        name = file.relative_to(ROOT) if file.is_relative_to(ROOT) else file
        for finding in check(file):
            counts[str(name.parent)] += 1
            if not options.counts:
                print(f"{name}:{finding.line}: {finding.rule}: {finding.text}")
    if options.counts:
        print("\n".join(f"{count:6} {folder}" for folder, count in counts.most_common()))
    print(f"{counts.total()} findings in {len(chosen)} files", file=sys.stderr)
    return 1 if counts else 0


if __name__ == "__main__":
    sys.exit(main())
