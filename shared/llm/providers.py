"""Which provider answers. Each is imported when it is first needed, because each brings a client library of its own."""

from functools import cache

from shared.llm.port import Provider
from shared.settings import settings


@cache
def provider() -> Provider:
    """The provider of this process's settings, with one client for the life of the process."""
    if settings().llm_provider == "scripted":
        from shared.llm.scripted import ScriptedProvider

        return ScriptedProvider()
    if settings().llm_provider == "bedrock":
        from shared.llm.bedrock import BedrockProvider

        return BedrockProvider.from_settings(settings())
    from shared.llm.openai_compatible import OpenAICompatibleProvider

    return OpenAICompatibleProvider.from_settings(settings())
