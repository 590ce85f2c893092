"""Write the templates of stages and of their accounts.

python -m infra_cdk.app dev --build build --out cdk.out    write the template of a stage
python -m infra_cdk.app dev --github owner/name            also write the template of GitHub's roles
"""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from aws_cdk import App

from infra_cdk import nag
from infra_cdk.account_stack import AccountStack
from infra_cdk.assets import Assets
from infra_cdk.github import GitHubStack
from infra_cdk.stack import PantheonStack
from infra_cdk.stages import Stage
from infra_cdk.stages_file import chosen
from shared.errors import ConfigurationError

_CONTEXT: Final = {
    # Findings of the CDK's own rules are errors.
    "@aws-cdk/core:validateAgainstDefaultRules": True,
    # A changed layer makes a new version of its functions. Without this, aliases would keep the old layer.
    "@aws-cdk/aws-lambda:recognizeLayerVersion": True,
    # SAM CLI finds a function's files by this metadata.
    "aws:cdk:enable-asset-metadata": True,
    "aws:cdk:enable-path-metadata": True,
}


def build(out: Path, stages: Iterable[Stage], assets: Assets) -> App:
    """Return the app, which synthesising writes to `out`."""
    app = App(outdir=str(out), analytics_reporting=False, post_cli_context=_CONTEXT)
    stages = list(stages)
    for stage in stages:
        PantheonStack(app, stage, assets)
    for region, account in sorted({(stage.region, stage.account or "") for stage in stages}):
        AccountStack(app, region, account or None)
    return app


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", nargs="+", help="names of stages: `make stages` prints them")
    parser.add_argument("--build", type=Path, default=Path("build"), help="the bundle (build)")
    parser.add_argument("--out", type=Path, default=Path("cdk.out"), help="the folder of the templates (cdk.out)")
    parser.add_argument("--github", metavar="OWNER/NAME", help="the repository whose workflows deploy these stages")
    parser.add_argument("--existing-provider", action="store_true", help="the account has GitHub as a provider already")
    given = parser.parse_args()
    try:
        stages = chosen(given.stages)
        app = build(given.out, stages, Assets.of(given.build))
        if given.github:
            GitHubStack(app, stages, given.github, existing=given.existing_provider)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 1
    nag.check(app)
    app.synth()
    return 0


if __name__ == "__main__":
    sys.exit(main())
