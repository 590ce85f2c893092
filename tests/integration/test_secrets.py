"""Tests that secrets are read from Secrets Manager, which moto serves."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import boto3
import pytest

from shared.aws.secrets import Credentials, load_api_key, load_credentials
from shared.errors import ConfigurationError
from tests.support.fake_bedrock.environment import REGION

pytest_plugins = ["tests.support.sqs.fixtures"]


@pytest.fixture
def secrets(sqs_endpoint: str, aws: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of moto's server, which serves all services."""
    aws.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", sqs_endpoint)
    aws.setenv("AWS_REGION", REGION)
    client = boto3.client("secretsmanager", region_name=REGION)
    yield client
    client.close()


def test_key_of_a_provider_is_the_whole_secret_without_its_line_end(secrets: Any) -> None:
    name = f"pantheon/{uuid4()}"
    arn = secrets.create_secret(Name=name, SecretString="key-1\n")["ARN"]
    assert [load_api_key(name), load_api_key(arn)] == ["key-1", "key-1"]
    secrets.put_secret_value(SecretId=name, SecretString="key-2")
    assert load_api_key(name) == "key-2"


def test_secret_that_is_not_there_is_one_line_that_names_it(secrets: Any) -> None:
    with pytest.raises(
        ConfigurationError, match=r"the secret pantheon/gone cannot be read \(ResourceNotFoundException\)"
    ):
        load_api_key("pantheon/gone")


def test_secret_without_text_is_refused(secrets: Any) -> None:
    name = f"pantheon/{uuid4()}"
    secrets.create_secret(Name=name, SecretBinary=b"key")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_api_key(name)


def test_owner_is_read_as_rds_writes_it(secrets: Any) -> None:
    text = '{"username": "pantheon_owner", "password": "x", "engine": "postgres"}'
    arn = secrets.create_secret(Name=f"rds-{uuid4()}", SecretString=text)["ARN"]
    assert load_credentials(arn) == Credentials("pantheon_owner", "x")
