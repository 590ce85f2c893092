"""What is deployed beside the template, as `bundle.py` lays it out. Tests bring a layout of their own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from infra_cdk.entries import DEPENDENCIES, LANGGRAPH, VERIFICATION, WITH_GRAPHS

CORE, FUNCTIONS = "core", "functions"
# What starts the loop of a function that streams, in its folder and on Lambda.
LOOP: Final = "functions/runtime.sh"
TASK: Final = "/var/task"
WRAPPER: Final = f"{TASK}/{LOOP}"


@dataclass(frozen=True)
class Assets:
    """`libraries` and `core` are folders of layers, `function` gives a function's folder by its name. What graphs need
    is there if some stage has graphs."""

    libraries: Mapping[str, Path]
    core: Path
    function: Callable[[str], Path]

    @classmethod
    def of(cls, build: Path) -> Self:
        libraries = {name: build / name for name in (DEPENDENCIES, VERIFICATION, LANGGRAPH)}
        return cls(libraries, build / CORE, (build / FUNCTIONS).joinpath)

    @classmethod
    def empty(cls, folder: Path) -> Self:
        """Folders with nothing but a name in them: a template is the same with them, but for the hashes."""
        assets = cls.of(folder)
        functions = (assets.function(entry.name) for entry in WITH_GRAPHS)
        for path in (*assets.libraries.values(), assets.core, *functions):
            path.mkdir(parents=True, exist_ok=True)
            (path / "empty").write_text(path.name)
        return assets
