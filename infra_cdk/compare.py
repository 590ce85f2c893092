"""List the changes in the templates of all stages since a commit, as Markdown.

python -m infra_cdk.compare origin/main    synthesise both commits, without an account and without a bundle

Each commit uses its own stages.toml. With PANTHEON_STAGES, both use that file.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from infra_cdk.assets import Assets
from infra_cdk.stages_file import VARIABLE, load
from shared.errors import ConfigurationError

ROOT: Final = Path(__file__).parents[1]
# Types whose replacement or removal loses data, logs or users.
STATEFUL: Final = (
    "AWS::RDS::DBInstance",
    "AWS::KMS::Key",
    "AWS::S3::Bucket",
    "AWS::Cognito::UserPool",
    "AWS::SQS::Queue",
    "AWS::Logs::LogGroup",
)
Templates = Mapping[str, Mapping[str, Any]]
# An old commit without stages files has only the kinds.
_NAMES: Final = """
try:
    from infra_cdk.stages_file import load
except ModuleNotFoundError:
    from infra_cdk.stages import STAGES as stages
else:
    stages = load()
print(*stages)
"""


def changes(before: Templates, after: Templates) -> Iterator[str]:
    """Yield a line for each resource that is new, gone or changed. Templates are by the stack's name."""
    for stack in sorted({*before, *after}):
        old, new = (one.get(stack, {}).get("Resources", {}) for one in (before, after))
        lines = [_line(id_, old.get(id_), new.get(id_)) for id_ in sorted({*old, *new}) if old.get(id_) != new.get(id_)]
        yield f"### {stack}: {len(lines) or 'no'} resources changed"
        yield from lines


def _line(id_: str, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> str:
    kind = (new or old or {})["Type"]
    if old is None:
        return f"- new: `{id_}` ({kind})"
    if new is None:
        return f"- {'**gone**' if kind in STATEFUL else 'gone'}: `{id_}` ({kind})"
    names = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name) and name != "Properties"]
    values = [one.get("Properties", {}) for one in (old, new)]
    names += [name for name in sorted({*values[0], *values[1]}) if values[0].get(name) != values[1].get(name)]
    return f"- {'**changed**' if kind in STATEFUL else 'changed'}: `{id_}` ({kind}): {', '.join(names)}"


def synthesise(checkout: Path, build: Path, out: Path) -> Templates:
    """Return the templates that the code in `checkout` writes."""
    command = [sys.executable, "-m", "infra_cdk.app", *_stages(checkout), "--build", str(build), "--out", str(out)]
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(build), **_environ(checkout)}
    subprocess.run(command, cwd=checkout, env=environ, check=True, stdout=subprocess.DEVNULL)
    read = {path.name.removesuffix(".template.json"): path for path in sorted(out.glob("*.template.json"))}
    return {name: json.loads(path.read_text()) for name, path in read.items()}


def _stages(checkout: Path) -> list[str]:
    command = [sys.executable, "-c", _NAMES]
    ran = subprocess.run(command, cwd=checkout, env=_environ(checkout), check=True, capture_output=True)
    return ran.stdout.decode().split()


def _environ(checkout: Path) -> dict[str, str]:
    named = os.environ.get(VARIABLE)
    return {"PYTHONPATH": str(checkout), **({VARIABLE: str(Path(named).absolute())} if named else {})}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", help="a commit, a branch or a tag")
    base = parser.parse_args().base
    try:
        names = ", ".join(load())
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        added = ["git", "worktree", "add", "--quiet", "--detach", str(work / "base"), base]
        if subprocess.run(added, cwd=ROOT, check=False).returncode:
            print(f"{base!r} is no commit of this clone. Fetch the history first.", file=sys.stderr)
            return 2
        try:
            # Both use the same empty bundle, so that changes of functions' code do not count.
            Assets.empty(work / "build")
            before = synthesise(work / "base", work / "build", work / "before")
            after = synthesise(ROOT, work / "build", work / "after")
        finally:
            removed = [*added[:2], "remove", "--force", str(work / "base")]
            subprocess.run(removed, cwd=ROOT, check=False)
    print(f"## Templates of {names} since {base[:12]}\n")
    print("\n".join(changes(before, after)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
