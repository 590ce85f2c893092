"""Putting a mutant into a process that has everything imported: as if it had been imported with it.

The module's text is run in a namespace of its own, and what came of it is grafted on the real module: the code of
functions and methods, the text of statements, and other values wherever they were imported to. Then the same is done
with every module of `shared` that was built from it.
"""

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import PurePath
from types import FunctionType, ModuleType

from shared.db.engine import Statement
from tests.support import sql_edits


def statements() -> dict[str, Statement]:
    """Every statement by its module and name."""
    return {
        f"{module.__name__}.{name}": value
        for module in _modules("shared")
        for name, value in vars(module).items()
        if isinstance(value, Statement) and getattr(module, "__file__", None)
    }


def read_sources() -> None:
    """Now, since files may change while mutants are tried; and find out what is built from what, once for all."""
    for module in _modules("shared"):
        _source(module)
    for module in _modules("shared"):
        dependents(module.__name__)


def apply(name: str, source: bytes) -> frozenset[str]:
    """Let the module or the `.sql` file be the one of `source`, and return the names of the statements that are others
    now, or gone. Raises what importing it would raise."""
    before = {known: statement.parts for known, statement in statements().items()}
    if name.endswith(".sql"):
        sql_edits.apply({PurePath(name).stem: source.decode()})
    else:
        _graft(sys.modules[name], source)
        for dependent in dependents(name):
            _graft(dependent, _source(dependent))
    after = {known: statement.parts for known, statement in statements().items()}
    return frozenset(known for known in before.keys() | after.keys() if before.get(known) != after.get(known))


@cache
def dependents(name: str) -> tuple[ModuleType, ...]:
    """The modules of `shared` that import this one, directly or not, each after those that it imports."""
    imports = {module.__name__: _imports(module) for module in _modules("shared")}
    below, found = {name}, dict[str, None]()
    while True:
        ready = [each for each, imported in imports.items() if imported & below and each not in below]
        if not ready:
            return tuple(sys.modules[each] for each in _in_order(found, imports))
        below.update(ready)
        found.update(dict.fromkeys(ready))


def _in_order(found: dict[str, None], imports: dict[str, set[str]]) -> Iterator[str]:
    waiting = dict(found)
    while waiting:
        for each in [each for each in waiting if not imports[each] & waiting.keys()]:
            del waiting[each]
            yield each


def _imports(module: ModuleType) -> set[str]:
    tree = ast.parse(_source(module))
    return {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}


@cache
def _source(module: ModuleType) -> bytes:
    return inspect.getsource(module).encode() if getattr(module, "__file__", None) else b""


def _modules(*packages: str) -> list[ModuleType]:
    return [module for name, module in list(sys.modules.items()) if name.partition(".")[0] in packages]


def _graft(module: ModuleType, source: bytes) -> None:
    assert module.__file__ is not None
    scratch = {"__name__": module.__name__, "__file__": module.__file__}
    exec(compile(source, module.__file__, "exec", dont_inherit=True), scratch)
    for name, new in scratch.items():
        old = vars(module).get(name)
        if name.startswith("__") or new is old:
            continue
        if isinstance(new, FunctionType) and isinstance(old, FunctionType):
            _graft_function(inspect.unwrap(old), inspect.unwrap(new))
        elif isinstance(new, type) and isinstance(old, type):
            _graft_class(old, new)
        elif isinstance(new, Statement) and isinstance(old, Statement):
            vars(old).update(vars(new))
        else:
            _rebind(name, old, new)


def _graft_function(old: FunctionType, new: FunctionType) -> None:
    old.__code__, old.__defaults__, old.__kwdefaults__ = new.__code__, new.__defaults__, new.__kwdefaults__


def _graft_class(old: type, new: type) -> None:
    for name, member in vars(new).items():
        known, made = _function(vars(old).get(name)), _function(member)
        if known is None or made is None:
            continue
        if made.__code__.co_freevars != known.__code__.co_freevars:
            setattr(old, name, member)
        elif not made.__code__.co_filename.startswith("<"):
            # `super()` goes on meaning the class that everybody has.
            _graft_function(known, made)
        elif name == "__init__":
            # A dataclass's, with the defaults of its fields.
            setattr(old, name, member)


def _function(member: object) -> FunctionType | None:
    plain = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
    return plain if isinstance(plain, FunctionType) else None


def _rebind(name: str, old: object, new: object) -> None:
    """Wherever the value was imported to, under its name."""
    for module in _modules("shared", "functions", "tests", "local"):
        if name in vars(module) and vars(module)[name] is old:
            setattr(module, name, new)
