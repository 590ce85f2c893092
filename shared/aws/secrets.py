"""Secrets Manager: the database owner's name and password, which RDS keeps there and changes."""

import json
from dataclasses import dataclass, field
from typing import Final

import boto3
from botocore.config import Config

# A deployment waits for this, and tries again itself.
_CONFIG: Final = Config(connect_timeout=5, read_timeout=5, retries={"total_max_attempts": 3, "mode": "standard"})


@dataclass(frozen=True)
class Credentials:
    username: str
    password: str = field(repr=False)


def load_credentials(arn: str) -> Credentials:
    """The secret as it is now. Raises botocore's errors."""
    client = boto3.session.Session().client("secretsmanager", config=_CONFIG)
    secret = json.loads(client.get_secret_value(SecretId=arn)["SecretString"])
    return Credentials(secret["username"], secret["password"])
