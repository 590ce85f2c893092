"""The table of docs/reliability.md: what came of the mutants, by file."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from tests.faults.report import PAGE
from tests.mutation.mutants import Mutant
from tests.mutation.results import Verdict

_MARKED = re.compile(r"(?<=<!-- mutants -->\n).*?(?=<!-- /mutants -->)", re.DOTALL)
_KINDS = ("killed", "timeout", "same", "explained", "survived", "not tried")
_HEAD = (
    "| file | mutants | killed | never ended | same statements | explained | survived | not tried |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- |\n"
)


def table(mutants: Sequence[Mutant], verdicts: Mapping[str, Verdict], reasons: Mapping[str, str]) -> str:
    counted = {mutant.file: Counter[str]() for mutant in mutants}
    for mutant in mutants:
        status = verdicts[mutant.name].status if mutant.name in verdicts else "not tried"
        counted[mutant.file]["explained" if status == "survived" and mutant.name in reasons else status] += 1
    lines = [_line(f"`{file}`", counts) for file, counts in counted.items()]
    return _HEAD + "".join(lines) + _line("all", sum(counted.values(), Counter()))


def write(mutants: Sequence[Mutant], verdicts: Mapping[str, Verdict], reasons: Mapping[str, str]) -> None:
    text = f"{table(mutants, verdicts, reasons)}\n{datetime.now(UTC):%Y-%m-%d}.\n"
    PAGE.write_text(_MARKED.sub(lambda _: text, PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def _line(title: str, counts: Counter[str]) -> str:
    return f"| {' | '.join([title, f'{counts.total():,}', *(f'{counts[kind]:,}' for kind in _KINDS)])} |\n"
