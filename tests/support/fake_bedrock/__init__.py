"""A server that speaks Bedrock's Converse, with the moods, the listener and the log of the fake provider.

with FakeBedrock() as server:  # AWS_ENDPOINT_URL_BEDROCK_RUNTIME is server.endpoint
    server.add(moods.exception("ThrottlingException", 429), when="You are the Critic")
"""

from tests.support.fake_bedrock.server import FakeBedrock

__all__ = ["FakeBedrock"]
