"""Send each call to the provider of its alias.

A client library is imported only if the catalog needs it. Clients are made before the first turn is accepted, so an
unusable provider costs no call.
"""

from collections.abc import Callable, Mapping
from functools import cache

from shared.catalog import Catalog, Provider, catalog
from shared.errors import ConfigurationError
from shared.llm import port
from shared.llm.port import Completion, OnText, Request
from shared.settings import stage_settings, variable


class Providers:
    """The providers of a catalog, by name. `clients` may be called from any number of threads."""

    def __init__(self, clients: Mapping[str, port.Provider]) -> None:
        self.clients = clients

    def complete(self, request: Request, on_text: OnText | None = None) -> Completion:
        return self.clients[request.model.provider].complete(request, on_text)


@cache
def provider() -> Providers:
    """Return the providers of this process's catalog, one client each for the life of the process. Raises
    ConfigurationError."""
    return connect(catalog())


def connect(known: Catalog, look_up: Callable[[str], str | None] = variable) -> Providers:
    """Make a client for each provider that an alias uses. `look_up` reads environment variables. Raises
    ConfigurationError, one line that names the provider and its key."""
    return Providers({name: _client(each, look_up) for name, each in known.used().items()})


def _client(provider: Provider, look_up: Callable[[str], str | None]) -> port.Provider:
    try:
        return _made(provider, look_up)
    except ConfigurationError as error:
        raise ConfigurationError(f"[providers.{provider.name}] {error}") from None


def _made(provider: Provider, look_up: Callable[[str], str | None]) -> port.Provider:
    if provider.kind == "scripted":
        from shared.llm.scripted import ScriptedProvider

        return ScriptedProvider()
    if provider.kind == "bedrock":
        from shared.llm.bedrock import BedrockProvider

        return BedrockProvider(stage_settings().stage, provider.region)
    from shared.llm.openai_compatible import OpenAICompatibleProvider

    if provider.base_url is None:
        raise ConfigurationError("base_url is missing.")
    return OpenAICompatibleProvider(provider.base_url, _key(provider.api_key, look_up))


def _key(source: str | None, look_up: Callable[[str], str | None]) -> str | None:
    """Return the key that `env:NAME` or `secret:NAME` names."""
    if source is None:
        return None
    where, _, name = source.partition(":")
    if where == "secret":
        from shared.aws.secrets import load_api_key

        return load_api_key(name)
    key = look_up(name)
    if not key:
        raise ConfigurationError(f"api_key: the variable {name} is not set.")
    return key
