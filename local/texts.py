"""The modules of `shared.db` as a bundle has them: a statement is the text that it compiles to, and whatever only
SQLAlchemy can make is left out, and SQLAlchemy with it.

python -m local.texts FOLDER      FOLDER/shared/db is written anew

The rule this file protects: what is left is the source, line by line, so that a trace names the line that everybody
reads. Lines that are left out are left empty, and a statement stands on its first one. What uses something that was
left out is left out itself; where that is too much, the bundle cannot be imported.
"""

import ast
import symtable
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path

from shared.db.engine import Statement

# The names that each module has no longer.
Gone = dict[str, set[str]]


def write_texts(folder: Path) -> None:
    """Write the modules of `shared.db` in `folder` anew, which are those of this checkout."""
    paths = {f"shared.db.{path.stem}": path for path in sorted((folder / "shared" / "db").glob("*.py"))}
    modules = [_Module(name, path) for name, path in paths.items()]
    gone: Gone = {module.name: set() for module in modules}
    # What one module leaves out may be what another one uses.
    while any(module.leave_out(gone) for module in modules):
        pass
    for module in modules:
        module.write(gone)


class _Module:
    def __init__(self, name: str, path: Path) -> None:
        self.name, self._path = name, path
        self._nodes = [(node, set(_globals_of(node))) for node in ast.parse(path.read_text()).body]

    def leave_out(self, gone: Gone) -> bool:
        """Add to `gone` what cannot be made without what is gone. Whether there was any."""
        mine = gone[self.name]
        before = len(mine)
        for node, used in self._nodes:
            if isinstance(node, ast.Import | ast.ImportFrom):
                mine.update(_name(alias) for alias in node.names if _is_gone(node, alias, gone))
            elif used & mine and self._text_of(node) is None:
                mine.update(_bound(node))
        return len(mine) > before

    def write(self, gone: Gone) -> None:
        mine = gone[self.name]
        lines = self._path.read_text().splitlines()
        for node, used in self._nodes:
            if isinstance(node, ast.Import | ast.ImportFrom):
                kept = [alias for alias in node.names if _name(alias) not in mine]
                if len(kept) < len(node.names):
                    node.names = kept
                    _replace(lines, node, ast.unparse(node) if kept else "")
            elif used & mine:
                _replace(lines, node, self._text_of(node) or "")
        self._path.write_text("\n".join(lines) + "\n")

    def _text_of(self, node: ast.stmt) -> str | None:
        """A module's statement, or a collection of them, as Python; None for everything else."""
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
            return None
        name = node.targets[0].id
        value = getattr(import_module(self.name), name)
        return f"{name} = {_written(value)}" if _are_statements(value) else None


def _are_statements(value: object) -> bool:
    if isinstance(value, dict | tuple):
        parts = value.values() if isinstance(value, dict) else value
        return bool(parts) and all(map(_are_statements, parts))
    return isinstance(value, Statement)


def _written(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_written(each)}" for key, each in value.items()) + "}"
    if isinstance(value, tuple):
        return "(" + "".join(f"{_written(each)}, " for each in value) + ")"
    assert isinstance(value, Statement)
    return f"Statement.of_text({value.text!r}, {value.names!r})"


def _globals_of(node: ast.stmt) -> Iterator[str]:
    """The module's names that `node` uses when it is run, or that its functions use when they are."""

    def used(table: symtable.SymbolTable, *, top: bool) -> Iterator[str]:
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (top or symbol.is_global()):
                yield symbol.get_name()
        for child in table.get_children():
            yield from used(child, top=False)

    return used(symtable.symtable(ast.unparse(node), "", "exec"), top=True)


def _bound(node: ast.stmt) -> Iterable[str]:
    """The module's names that `node` makes."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    return [each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)]


def _is_gone(node: ast.Import | ast.ImportFrom, alias: ast.alias, gone: Gone) -> bool:
    module = (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name
    return module.partition(".")[0] == "sqlalchemy" or alias.name in gone.get(module, ())


def _name(alias: ast.alias) -> str:
    return alias.asname or alias.name


def _replace(lines: list[str], node: ast.stmt, text: str) -> None:
    first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))])
    lines[first - 1 : node.end_lineno] = [text, *[""] * (node.end_lineno - first)] if node.end_lineno else [text]


if __name__ == "__main__":
    write_texts(Path(sys.argv[1]))
