"""What came of each mutant, kept from run to run, and held against the survivors that are explained.

A mutant that was killed is not tried again before its function changes. One that survived is, since a test may be new.
"""

import json
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.mutation.mutants import Mutant

SURVIVORS = Path(__file__).parent / "survivors.toml"


@dataclass(frozen=True)
class Verdict:
    """`status`: killed, timeout, survived, or same: the same code runs, and the same statements are sent. `by`: the
    test that failed, or the error that the module cannot be imported with."""

    status: str
    by: str = ""
    tests: int = 0
    seconds: float = 0.0


class Results:
    """The verdicts by mutant, in a file with a line each."""

    def __init__(self, path: Path, mutants: Sequence[Mutant], *, fresh: bool) -> None:
        self._path = path
        path.touch()
        self._digests = {mutant.name: mutant.digest for mutant in mutants}
        self._read_to = path.stat().st_size if fresh else 0
        self.verdicts: dict[str, Verdict] = {}
        self.read()

    def read(self) -> None:
        """What has been added since, by this process and others at the same mutants."""
        with self._path.open("rb") as file:
            file.seek(self._read_to)
            added = file.read()
        # The last line may not be whole yet.
        added = added[: added.rfind(b"\n") + 1]
        self._read_to += len(added)
        for line in added.splitlines():
            kept = json.loads(line)
            name, digest = kept.pop("name"), kept.pop("digest")
            if self._digests.get(name) == digest:
                self.verdicts[name] = Verdict(**kept)

    def left(self, mutants: Sequence[Mutant]) -> list[Mutant]:
        """Those to be tried, the survivors of an earlier run last."""
        known = {name for name, verdict in self.verdicts.items() if verdict.status != "survived"}
        left = [mutant for mutant in mutants if mutant.name not in known]
        return sorted(left, key=lambda mutant: mutant.name in self.verdicts)

    def add(self, mutant: Mutant, verdict: Verdict) -> None:
        with self._path.open("a") as file:
            line = {"name": mutant.name, "digest": mutant.digest, **asdict(verdict)}
            file.write(json.dumps(line) + "\n")
        self.read()

    def counts(self) -> Counter[str]:
        return Counter(verdict.status for verdict in self.verdicts.values())


def explained() -> dict[str, str]:
    """Why no test can notice a mutant, by its name."""
    groups = tomllib.loads(SURVIVORS.read_text()).get("group", [])
    return {name: group["why"] for group in groups for name in group["mutants"]}


def findings(verdicts: Mapping[str, Verdict], reasons: Mapping[str, str], tried: Sequence[Mutant]) -> list[str]:
    """The survivors that nobody explains, and the explanations of what is killed or is no mutant any more. `tried` are
    all mutants of the files that they are about."""
    survived = {name for name, verdict in verdicts.items() if verdict.status == "survived"}
    names, files = {mutant.name for mutant in tried}, {mutant.file for mutant in tried}
    idle = [
        name
        for name in reasons
        if name.partition(" ")[0] in files and (name not in names or verdicts[name].status != "survived")
    ]
    return [f"survived: {name}" for name in sorted(survived - reasons.keys())] + [
        f"explained, and no survivor: {name}" for name in idle
    ]
