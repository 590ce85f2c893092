"""The catalog of this deployment: the file of PANTHEON_CATALOG, or the packaged one of PANTHEON_LLM_PROVIDER."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Final, get_args

from shared.catalog.file import read_catalog
from shared.catalog.models import CALL_MARGIN_S, WORKER_SECONDS, Catalog, Model, Provider
from shared.errors import ConfigurationError
from shared.names import Env
from shared.settings import CatalogSettings, LlmProvider, catalog_settings

_PACKAGED: Final = Path(__file__).with_name("files")

logger = logging.getLogger(__name__)


@cache
def catalog() -> Catalog:
    """The catalog of this process's settings. Raises ConfigurationError."""
    values = catalog_settings()
    built = build(values)
    if ignored := overruled(values, built):
        logger.warning("%s decides, beside which these are ignored: %s.", Env.CATALOG, ", ".join(ignored))
    return built


def overruled(values: CatalogSettings, chosen: Catalog) -> list[str]:
    """The variables that are set and have no effect, because PANTHEON_CATALOG chose this catalog."""
    if not values.catalog:
        return []
    keys = {provider.api_key for provider in chosen.providers.values()}
    names = (Env.LLM_PROVIDER, Env.LLM_BASE_URL, Env.LLM_API_KEY)
    given = [name for name in names if name.removeprefix("PANTHEON_").lower() in values.model_fields_set]
    return [name for name in given if f"env:{name}" not in keys]


def build(values: CatalogSettings) -> Catalog:
    """The catalog that the settings choose. Raises ConfigurationError, one line that names the mistake."""
    chosen = _own(values.catalog) if values.catalog else _packaged(values)
    providers = {name: _with_local_model(each, values) for name, each in chosen.providers.items()}
    for name, alias in ((Env.ROUTING_ALIAS, values.routing_alias), (Env.SUMMARY_ALIAS, values.summary_alias)):
        if alias not in chosen:
            raise ConfigurationError(
                f"{name}: there is no alias '{alias}' in the catalog; there are {', '.join(chosen)}."
            )
    return Catalog(_timed(chosen, values.max_call_s), MappingProxyType(providers))


def models_behind(provider: str, model_id: str) -> tuple[Model, ...]:
    """The aliases of a provider's model, in this catalog or in a packaged one. Empty if no catalog has the model any
    more."""
    catalogs = [catalog(), *map(_read_packaged, get_args(LlmProvider))]
    return tuple(chain.from_iterable(each.behind(provider, model_id) for each in catalogs))


def _own(file: str) -> Catalog:
    """The catalog in the user's file. `~` is expanded here, because a shell does not always expand it."""
    path = Path(file)
    with suppress(RuntimeError):
        path = path.expanduser()
    try:
        return read_catalog(path)
    except ConfigurationError as error:
        if isinstance(error.__cause__, OSError):
            raise ConfigurationError(f"{Env.CATALOG}: {path.absolute()}: {error.__cause__.strerror}.") from error
        raise


def _packaged(values: CatalogSettings) -> Catalog:
    """The packaged catalog. Its only provider gets the endpoint and the key of the settings."""
    packaged = _read_packaged(values.llm_provider)
    key = None if values.llm_api_key is None else f"env:{Env.LLM_API_KEY}"
    told = {
        name: replace(each, base_url=values.llm_base_url or each.base_url, api_key=key or each.api_key)
        for name, each in packaged.providers.items()
    }
    return replace(packaged, providers=told)


@cache
def _read_packaged(provider: LlmProvider) -> Catalog:
    return read_catalog(_PACKAGED / f"{provider}.toml")


def _with_local_model(provider: Provider, values: CatalogSettings) -> Provider:
    """Give a local provider without an address the model that `pantheon run` starts."""
    if provider.kind == "local" and provider.base_url is None:
        key = None if values.local_model_key is None else f"env:{Env.LOCAL_MODEL_KEY}"
        return replace(provider, base_url=values.local_model_url, api_key=key or provider.api_key)
    return provider


def _timed(chosen: Catalog, max_call_s: float | None) -> Mapping[str, Model]:
    """The aliases. If the settings have a time for calls, it replaces `max_call_s` of each."""
    if max_call_s is None:
        return chosen.aliases
    if max_call_s + CALL_MARGIN_S > WORKER_SECONDS:
        raise ConfigurationError(f"{Env.MAX_CALL_S}: a call may take {WORKER_SECONDS - CALL_MARGIN_S:.0f} s at most.")
    return MappingProxyType({alias: replace(model, max_call_s=max_call_s) for alias, model in chosen.items()})
