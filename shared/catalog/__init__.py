"""Read the catalog: it maps each alias to a provider, a model and prices. Catalogs are TOML files.

An agent names an alias and never a model, so that a model can be replaced without changing an agent.
"""

from shared.catalog.deployed import build, catalog
from shared.catalog.models import CALL_MARGIN_S, WORKER_SECONDS, Catalog, Dialect, Kind, Model, Provider, Rates

__all__ = [
    "CALL_MARGIN_S",
    "WORKER_SECONDS",
    "Catalog",
    "Dialect",
    "Kind",
    "Model",
    "Provider",
    "Rates",
    "build",
    "catalog",
]
