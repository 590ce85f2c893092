"""What is a mutant, and when a run of them is red; and that the guards of the core are guarded."""

import ast
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from shared.db.operations import dispatch
from tests.mutation import graft
from tests.mutation.forks import in_fork
from tests.mutation.guards import guards
from tests.mutation.mutants import CORE, ROOT, mutants_in, mutants_of
from tests.mutation.reach import Reach, Reached
from tests.mutation.report import table
from tests.mutation.results import Verdict, findings
from tests.mutation.sql import SQL, every_mutant_of


def changes(code: str) -> set[str]:
    return {mutant.name.split(": ", 1)[1].split(" in `")[0] for mutant in mutants_in("a.py", dedent(code).encode())}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("x = a == b", {"compare: a == b -> a != b"}),
        ("x = a <= b", {"compare: a <= b -> a < b"}),
        ("x = a and b", {"boolean: a and b -> ((a) or (b))", "one side: a and b -> (a)", "one side: a and b -> (b)"}),
        ("x = f(~a)", {"sign: ~a -> (a)"}),
        ("LEASE_S = 30", {"constant: 30 -> (30 + 1)", "constant: 30 -> (30 - 1)"}),
        ("x = q.where(a)", {"link: .where(a) -> nothing"}),
        ("x = and_(a, b)", {"argument: a, -> nothing", "argument: , b -> nothing"}),
        ("x = q.with_for_update(key_share=k)", {
            "link: .with_for_update(key_share=k) -> nothing", "argument: key_share=k -> nothing"}),
        ("x = f(s.a, s.b)", {"swap: s.a, s.b -> s.b, s.a"}),
        ("x = case((a, b), else_=c)", {
            "argument: (a, b), -> nothing", "argument: , else_=c -> nothing", "always: case((a, b), else_=c) -> b",
            "element: a, -> nothing", "element: , b -> nothing"}),
        ('x = [a, "b"]', {"element: a, -> nothing", 'element: , "b" -> nothing'}),
        ("x = {'a': b, **c}", {"entry: 'a': b, -> nothing", "entry: , **c -> nothing"}),
        ("x = [a for a in b if a.c]", {"always: a.c -> True"}),
        ("def f():\n    if a:\n        b()", {
            "always: a -> True", "never: a -> False", "statement: b() -> pass"}),
        ("def f():\n    return a", {"return: return a -> return None"}),
        ("def f():\n    a += b", {"statement: a += b -> pass", "arithmetic: a += b -> a -= b"}),
        ("def f():\n    try:\n        pass\n    except (A, B):\n        raise C", {
            "element: A, -> nothing", "element: , B -> nothing", "statement: raise C -> pass"}),
    ],
)  # fmt: skip
def test_code_has_these_mutants(code: str, expected: set[str]) -> None:
    assert changes(code) == expected


def test_what_no_test_could_hold_is_left_alone() -> None:
    code = '''
        """A docstring."""
        from a import b
        def f(x: int | None) -> int | str:
            """Another."""
            logger.warning("one or the other", extra={"a": 1})
    '''
    assert changes(code) == set()


def test_every_mutant_of_the_core_is_another_program_with_a_name_of_its_own() -> None:
    mutants = [mutant for file in CORE for mutant in mutants_of(file)]
    assert len({mutant.name for mutant in mutants}) == len(mutants)
    for file in CORE:
        programs = [ast.dump(ast.parse(mutant.source)) for mutant in mutants if mutant.file == file]
        assert len(set(programs)) == len(programs)


def test_a_mutant_keeps_its_name_and_its_places_when_its_line_moves() -> None:
    code = "def f(x):\n    return x.where(a == b)\n"
    before, after = (mutants_in("a.py", text.encode()) for text in (code, f'"""New."""\n\n{code}'))
    assert [(mutant.name, mutant.places) for mutant in before] == [(mutant.name, mutant.places) for mutant in after]


def test_a_survivor_is_a_finding_unless_it_is_explained_and_so_is_an_explanation_of_none() -> None:
    tried = mutants_in("a.py", b"x = f(a == b)\ny = f(a < b)\nz = f(a < c)")
    first, second, third = (mutant.name for mutant in tried)
    verdicts = {first: Verdict("survived"), second: Verdict("survived"), third: Verdict("killed")}
    reasons = dict.fromkeys([second, third, "a.py y: gone", "b.py y: of another file"], "because")
    assert findings(verdicts, reasons, tried) == [
        f"survived: {first}",
        f"explained, and no survivor: {third}",
        "explained, and no survivor: a.py y: gone",
    ]


def test_every_guard_that_is_taken_out_turns_its_test_red() -> None:
    """In a process of its own: a mutant must not stay in this one."""
    command = [sys.executable, "-m", "tests.mutation", "--guards"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"
    assert run.stdout.count("killed in") == len(guards())


@pytest.mark.parametrize(("ran", "tried"), [("in f", {"a test"}), ("elsewhere", None)])
def test_a_default_is_noticed_by_who_runs_through_its_function(ran: str, tried: set[str] | None) -> None:
    """It is made at import. A function that builds a statement runs then, too, and never again."""
    (mutant,) = mutants_in("a.py", b"def f(\n    x=True,\n):\n    return None\n")
    place = {"in f": "a.py f: return None", "elsewhere": "b.py g: pass"}[ran]
    reach = Reach(at_import=frozenset(mutant.places))
    reach.add(reach.at_import, {"a test": Reached("", 0.0, False, frozenset([place]), frozenset())})
    assert reach.of(mutant, ()) == tried


def test_a_statement_that_is_gone_is_another_one() -> None:
    """In a process of its own: a mutant must not stay in this one."""
    name, source = dispatch.__name__, Path(dispatch.__file__).read_bytes()
    changed = in_fork(lambda: graft.apply(name, source.replace(b"\n_MOVE_ON = _move_on()", b"\n_MOVE_ON = None")), 60)
    assert changed is not None
    assert f"{name}._MOVE_ON" in changed
    assert f"{name}._ACTIVITY" not in changed


def test_every_mutant_of_the_sql_changes_a_step_under_a_name_of_its_own() -> None:
    mutants = [mutant for file in SQL for mutant in every_mutant_of(file)]
    assert len({mutant.name for mutant in mutants}) == len(mutants) > 100
    for mutant in mutants:
        changed = in_fork(lambda mutant=mutant: graft.apply(mutant.module, mutant.source), 60)  # type: ignore[misc]
        assert changed, mutant.name


def test_the_table_counts_what_survived_and_what_was_not_tried() -> None:
    tried = mutants_in("a.py", b"x = f(a == b)\ny = f(a < b)\nz = f(a < c)")
    verdicts = {tried[0].name: Verdict("survived"), tried[1].name: Verdict("survived")}
    *_, line, total = table(tried, verdicts, {tried[1].name: "because"}).splitlines()
    assert line == "| `a.py` | 3 | 0 | 0 | 0 | 1 | 1 | 1 |"
    assert total == line.replace("`a.py`", "all")
