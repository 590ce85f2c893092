"""Choose the record that tells the cost of a provider's calls, by the provider's kind.

Bedrock's invocation log is in S3, and the reconciler function reads it. For every other kind, a plain log is read.
"""

from typing import Final

from shared.catalog.deployed import catalog
from shared.catalog.models import Kind
from shared.errors import ConfigurationError

_IN_INVOCATION_LOG: Final[Kind] = "bedrock"
# The release before 0017 stored the kind of a call's provider in place of its name.
NAME_BEFORE: Final = "bedrock"


def invocation_log_providers() -> frozenset[str]:
    """The names of the providers whose calls are in Bedrock's invocation log."""
    providers = catalog().providers.values()
    named = {provider.name for provider in providers if provider.kind == _IN_INVOCATION_LOG}
    others = {provider.name for provider in providers} - named
    return frozenset(named | ({NAME_BEFORE} - others))


def check_plain_log(provider: str) -> None:
    """Raises ConfigurationError for a provider without a plain log. A provider that is no longer in the catalog is
    accepted."""
    if provider in invocation_log_providers():
        raise ConfigurationError(
            f"Calls of the provider '{provider}' are in Bedrock's invocation log. The reconciler function reads it."
        )
