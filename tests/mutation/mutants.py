"""The mutants of a module: every edit once, under a name that survives what moves its line."""

import ast
import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.mutation.operators import Edit, Source, edits

ROOT = Path(__file__).parents[2]
# The Python of the core: what accepts, asks, claims, publishes and dispatches. Its SQL is in `sql.py`.
CORE = (
    "shared/db/api/budgets.py",
    "shared/db/operations/dispatch.py",
    "shared/db/operations/time_limit.py",
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "shared/turns").glob("[!_]*.py")),
)
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Mutant:
    """`scope` is the function, or what is assigned at the top; `places` are the lines that the edit touches, `digest`
    is that of the function, class or assignment at the top that it is in."""

    file: str
    scope: str
    name: str
    places: tuple[str, ...]
    digest: str
    source: bytes
    in_function: bool

    @property
    def module(self) -> str:
        """What `graft.apply` takes: a module, or a `.sql` file as it is."""
        return self.file if self.file.endswith(".sql") else self.file.removesuffix(".py").replace("/", ".")


def mutants_of(file: str) -> list[Mutant]:
    """Those of a file of the project, given by its path from the root."""
    return mutants_in(file, (ROOT / file).read_bytes())


def mutants_in(file: str, text: bytes) -> list[Mutant]:
    source = Source(text)
    original = ast.dump(ast.parse(source.text))
    found: list[Mutant] = []
    seen, names, named = {original}, Counter[str](), places(file, text.decode())
    for edit, scope, in_function, digest in _edits(ast.parse(source.text), source):
        mutated = source.text[: edit.start] + edit.after.encode() + source.text[edit.end :]
        try:
            dump = ast.dump(ast.parse(mutated))
        except SyntaxError:
            continue
        if dump in seen:
            continue
        seen.add(dump)
        name = _name(file, scope, edit, source)
        names[name] += 1
        first = source.text.count(b"\n", 0, edit.start) + 1
        lines = range(first, source.text.count(b"\n", 0, edit.end) + 2)
        touched = tuple(named[line] for line in lines if line in named)
        numbered = f"{name} #{names[name]}" if names[name] > 1 else name
        found.append(Mutant(file, scope, numbered, touched, digest, mutated, in_function))
    return found


def places(file: str, text: str) -> dict[int, str]:
    """Every line by its number, as its file, its function and its text, which stay when it moves."""
    scopes: dict[int, str] = {}

    def descend(node: ast.AST, scope: tuple[str, ...]) -> None:
        for child in ast.iter_child_nodes(node):
            below = scope
            if isinstance(child, ast.ClassDef | _Function):
                assert child.end_lineno is not None
                below = (*scope, child.name)
                scopes.update(dict.fromkeys(range(child.lineno, child.end_lineno + 1), ".".join(below)))
            descend(child, below)

    descend(ast.parse(text), ())
    lines = enumerate(text.splitlines(), start=1)
    return {number: f"{file} {scopes.get(number, '')}: {line.strip()}" for number, line in lines if line.strip()}


def _name(file: str, scope: str, edit: Edit, source: Source) -> str:
    before = source.text[edit.start : edit.end].decode()
    change = f"{_short(before)} -> {_short(edit.after) or 'nothing'}"
    line = source.line(edit.start)
    # What is edited says little of itself where it is a part of its line.
    where = f" in `{line}`" if before in line and before != line else ""
    return f"{file} {scope}: {edit.operator}: {change}{where}"


def _short(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _edits(tree: ast.Module, source: Source) -> Iterator[tuple[Edit, str, bool, str]]:
    for statement in tree.body:
        digest = hashlib.sha256(source.of(statement).encode()).hexdigest()[:16]
        for edit, scope, in_function in _below(statement, source, (), in_function=False):
            yield edit, scope, in_function, digest


def _below(
    node: ast.AST, source: Source, scope: tuple[str, ...], *, in_function: bool
) -> Iterator[tuple[Edit, str, bool]]:
    if _left_alone(node):
        return
    if isinstance(node, ast.ClassDef | _Function):
        scope = (*scope, node.name)
        in_function = in_function or isinstance(node, _Function)
    elif not scope and isinstance(node, ast.Assign | ast.AnnAssign):
        scope = (ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target),)
    for edit in edits(node, source):
        yield edit, ".".join(scope), in_function
    for name, child in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "bases"):
            continue
        for each in child if isinstance(child, list) else [child]:
            if isinstance(each, ast.AST) and not (isinstance(each, ast.Constant) and _is_name(node, name)):
                yield from _below(each, source, scope, in_function=in_function)


def _is_name(parent: ast.AST, field: str) -> bool:
    """Whether a string below `parent` names a key, a column or a label: with another one nothing would run at all."""
    match parent:
        case ast.Call(
            func=ast.Attribute(attr="cte" | "label" | "alias" | "subquery")
            | ast.Name(id="bindparam" | "typed" | "rows")
        ):
            return True
        case ast.Subscript() | ast.List() | ast.Tuple():
            return True
        case ast.Dict():
            return field == "keys"
    return False


def _left_alone(node: ast.AST) -> bool:
    match node:
        case ast.Import() | ast.ImportFrom() | ast.JoinedStr():
            return True
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="logger")))):
            return True
        case ast.Call(func=ast.Attribute(value=ast.Name(id="logger"))) | ast.Call(func=ast.Name(id="getLogger")):
            return True
    return False
