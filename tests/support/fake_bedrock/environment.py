"""Sets an AWS environment with useless credentials and nothing from this machine."""

import os

ACCESS_KEY_ID = "fake-access-key-id"
SECRET_ACCESS_KEY = "fake-secret-access-key"
REGION = "eu-central-1"
STAGE = "test"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
    "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}
