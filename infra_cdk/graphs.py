"""Define the graphs of a stage, and the layer of the user's package for the function `graphs`."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra_cdk.entries import Entry
from infra_cdk.layers import layer
from infra_cdk.queue import Queue
from shared.errors import ConfigurationError
from shared.graph_names import parse_graphs
from shared.names import Env

ROOT: Final = Path(__file__).parents[1]
_IGNORED: Final = shutil.ignore_patterns("__pycache__", "*.pyc")


@dataclass(frozen=True)
class StageGraphs:
    """The graphs. `names` has the `module:attribute` of each.

    `package` is the folder of a Python package, from the root of the repository. Without it, the modules are Pantheon's
    examples."""

    names: Mapping[str, str]
    package: str | None = None

    def check(self, stage: str) -> None:
        """Raise ValueError for a name or a place that cannot be configured."""
        if not self.names:
            raise ValueError(f"Stage {stage}: graphs.names has no graph; leave out graphs.")
        try:
            if parse_graphs(self.setting) != dict(self.names):
                raise ValueError(
                    f"Stage {stage}: graphs.names has a name or a place with a comma or an edge of blanks."
                )
        except ConfigurationError as error:
            raise ValueError(f"Stage {stage}: graphs.names: {str(error).removeprefix(f'{Env.GRAPHS}: ')}") from None
        if self.package is not None and not (ROOT / self.package / "__init__.py").is_file():
            raise ValueError(f"Stage {stage}: graphs.package {self.package!r} is no folder with an __init__.py.")

    @property
    def setting(self) -> str:
        """Return the names as the functions read them."""
        return ",".join(f"{name}={place}" for name, place in self.names.items())

    def environment(self, entry: Entry, queue: Queue) -> dict[str, str]:
        """Return the environment variables of a function on graphs."""
        values = {str(Env.GRAPHS): self.setting} if entry.names_graphs else {}
        return values | ({str(Env.GRAPHS_QUEUE_URL): queue.queue.queue_url} if entry.sends_graphs else {})

    def layers(self, scope: Construct) -> list[lambda_.LayerVersion]:
        """Make the layer of the user's package, if there is one."""
        if self.package is None:
            return []
        source = ROOT / self.package
        with TemporaryDirectory() as folder:
            # Python searches a layer's folder `python` for modules.
            shutil.copytree(source, Path(folder) / "python" / source.resolve().name, ignore=_IGNORED)
            return [layer(scope, "GraphsPackage", Path(folder))]
