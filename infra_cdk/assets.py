"""Locate the folders that `bundle.py` writes and the stack deploys."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from infra_cdk.entries import DEPENDENCIES, LANGGRAPH, VERIFICATION, WITH_GRAPHS

CORE, FUNCTIONS = "core", "functions"
# The program that starts the loop of a streaming function, in its folder and on Lambda.
LOOP: Final = "functions/runtime.sh"
TASK: Final = "/var/task"
WRAPPER: Final = f"{TASK}/{LOOP}"


@dataclass(frozen=True)
class Assets:
    """The folders of a bundle: layers in `libraries` and `core`, and a function's folder by its name.

    The layer of graphs exists only if a stage has graphs."""

    libraries: Mapping[str, Path]
    core: Path
    function: Callable[[str], Path]

    @classmethod
    def of(cls, build: Path) -> Self:
        libraries = {name: build / name for name in (DEPENDENCIES, VERIFICATION, LANGGRAPH)}
        return cls(libraries, build / CORE, (build / FUNCTIONS).joinpath)

    @classmethod
    def empty(cls, folder: Path) -> Self:
        """Make empty folders for tests and comparisons. Templates then differ only in their hashes."""
        assets = cls.of(folder)
        functions = (assets.function(entry.name) for entry in WITH_GRAPHS)
        for path in (*assets.libraries.values(), assets.core, *functions):
            path.mkdir(parents=True, exist_ok=True)
            (path / "empty").write_text(path.name)
        return assets
