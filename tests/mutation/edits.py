"""An edit of one file of the core, put into a process that has imported everything."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from types import FunctionType, ModuleType

from shared.db.statement import Statement
from tests.support import sql_edits

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Edit:
    """`file` is a path from the root, and `text` is its text after the edit."""

    name: str
    file: str
    text: str

    def apply(self) -> None:
        """Make this process run the edited text."""
        if self.file.endswith(".sql"):
            sql_edits.apply({PurePath(self.file).stem: self.text})
        else:
            _graft(sys.modules[self.file.removesuffix(".py").replace("/", ".")], self.text)


def _graft(module: ModuleType, text: str) -> None:
    """Replace the statements of a module and the code of its functions and methods."""
    assert module.__file__ is not None
    edited = {"__name__": module.__name__, "__file__": module.__file__}
    exec(compile(text, module.__file__, "exec", dont_inherit=True), edited)
    for name, old in vars(module).items():
        new = edited.get(name)
        if isinstance(old, Statement) and isinstance(new, Statement):
            old.parts = new.parts
        elif isinstance(new, type) and isinstance(old, type):
            methods = dict(_functions(new))
            for method, function in _functions(old):
                function.__code__ = methods[method].__code__
        elif isinstance(old, FunctionType) and isinstance(new, FunctionType):
            old.__code__ = new.__code__


def _functions(class_: type) -> Iterator[tuple[str, FunctionType]]:
    return ((name, member) for name, member in vars(class_).items() if isinstance(member, FunctionType))
