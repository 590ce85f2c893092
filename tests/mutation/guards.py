"""The guards of `guards.toml`: each is an edit that removes one, and the test that must fail then."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests.mutation.edits import ROOT, Edit
from tests.mutation.sql import mutants_of

_LISTED = Path(__file__).with_name("guards.toml")


def guards() -> list[tuple[Edit, str]]:
    listed = tomllib.loads(_LISTED.read_text(encoding="utf-8"))
    return [*_of_sql(listed["sql"]), *((_python(guard), guard["test"]) for guard in listed["python"])]


def _of_sql(listed: list[dict[str, str]]) -> Iterator[tuple[Edit, str]]:
    mutants = {
        mutant.name: mutant
        for file in {guard["without"].partition(" ")[0] for guard in listed}
        for mutant in mutants_of(file)
    }
    return ((mutants[guard["without"]], guard["test"]) for guard in listed)


def _python(guard: dict[str, str]) -> Edit:
    file, before, after = guard["file"], guard["before"], guard["after"]
    text = (ROOT / file).read_text(encoding="utf-8")
    assert text.count(before) == 1, f"{file} must have {before!r} once"
    return Edit(f"{file}: {before.strip()} -> {after.strip()}", file, text.replace(before, after))
