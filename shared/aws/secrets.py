"""Read Secrets Manager: the database owner's name and password, which RDS rotates, and keys of model providers."""

import json
from dataclasses import dataclass, field
from typing import Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from shared.errors import ConfigurationError
from shared.settings import aws_environment

# A deployment waits for this, and retries itself.
_CONFIG: Final = Config(connect_timeout=5, read_timeout=5, retries={"total_max_attempts": 3, "mode": "standard"})


@dataclass(frozen=True)
class Credentials:
    username: str
    password: str = field(repr=False)


def load_credentials(arn: str) -> Credentials:
    """Return the current secret. Raises botocore's errors."""
    secret = json.loads(_load(arn))
    return Credentials(secret["username"], secret["password"])


def load_api_key(name: str) -> str:
    """Return the text of the secret with this name or ARN. Raises ConfigurationError if it cannot be read."""
    try:
        return _load(name).strip()
    except (BotoCoreError, ClientError, KeyError) as error:
        raise ConfigurationError(f"api_key: the secret {name} cannot be read ({_reason(error)}).") from None


def _load(name: str) -> str:
    # boto3 itself does not read AWS_REGION.
    session = boto3.session.Session(region_name=aws_environment().region)
    client = session.client("secretsmanager", config=_CONFIG)
    return str(client.get_secret_value(SecretId=name)["SecretString"])


def _reason(error: Exception) -> str:
    return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else type(error).__name__
