"""Lint the OpenAPI document with Redocly CLI and Spectral. Their rules are in infra_cdk/openapi_lint.

python -m infra_cdk.lint_openapi    fail at the first warning
"""

import os
import sys
from pathlib import Path
from typing import Final

from infra_cdk.node_packages import NodePackages

FOLDER: Final = Path(__file__).with_name("openapi_lint")
DOCUMENT: Final = FOLDER.parents[1] / "functions/api/openapi.json"


def main() -> int:
    os.environ["REDOCLY_SUPPRESS_UPDATE_NOTICE"] = "true"
    packages = NodePackages(FOLDER)
    packages.install()
    redocly = ("lint", str(DOCUMENT), "--config", "redocly.yaml", "--format", "stylish")
    packages.run("@redocly/cli/bin/cli.js", *redocly)
    spectral = ("lint", "--ruleset", "spectral.yaml", "--fail-severity", "hint", "--quiet", str(DOCUMENT))
    packages.run("@stoplight/spectral-cli/dist/index.js", *spectral)
    return 0


if __name__ == "__main__":
    sys.exit(main())
