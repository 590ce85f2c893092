"""Make a layer of a folder, which Lambda unpacks at /opt."""

from pathlib import Path

from aws_cdk import aws_lambda as lambda_
from constructs import Construct


def layer(scope: Construct, id: str, folder: Path) -> lambda_.LayerVersion:
    """Make a layer for all functions, which run on arm64. The CDK copies `folder` at once."""
    return lambda_.LayerVersion(
        scope,
        id,
        code=lambda_.Code.from_asset(str(folder)),
        compatible_architectures=[lambda_.Architecture.ARM_64],
        compatible_runtimes=[lambda_.Runtime.PYTHON_3_13],
    )
