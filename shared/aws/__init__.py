"""Adapters for AWS. Only they and the Bedrock provider use boto3."""
