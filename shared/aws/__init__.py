"""Adapters for AWS: with the Bedrock provider, the only place for boto3."""
