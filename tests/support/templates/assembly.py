"""Synthesises every stage's template once in a process, with empty layers."""

import atexit
import json
import shutil
import tempfile
from functools import cache
from pathlib import Path

from infra_cdk import app, nag
from infra_cdk.assets import Assets
from infra_cdk.stages import STAGES, Stage
from tests.support.templates.template import Template


class Assembly:
    """Holds the synthesised templates: one for each stage and `account`."""

    def __init__(self, folder: Path) -> None:
        made = app.build(folder / "out", STAGES.values(), Assets.empty(folder / "build"))
        nag.check(made)
        made.synth()
        read = {path.name.split(".")[0]: path for path in sorted((folder / "out").glob("*.template.json"))}
        self.paths = list(read.values())
        self.templates = {name.split("-")[1]: Template(json.loads(path.read_text())) for name, path in read.items()}


@cache
def assembled() -> Assembly:
    """Synthesise each stage, and fail when a finding of cdk-nag has no reason."""
    folder = Path(tempfile.mkdtemp(prefix="pantheon-cdk-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Assembly(folder)


def synthesised(stage: Stage, folder: Path, *, checked: bool = False) -> Template:
    """The template of a stage that is not one of ours. `checked` lets it fail where cdk-nag finds something."""
    made = app.build(folder / "out", [stage], Assets.empty(folder / "build"))
    if checked:
        nag.check(made)
    made.synth()
    return Template(json.loads((folder / "out" / f"pantheon-{stage.name}.template.json").read_text()))
