"""The table, in its order."""

from collections.abc import Mapping
from types import MappingProxyType

from tests.soak.row import SoakRow

ROWS: Mapping[str, SoakRow] = MappingProxyType({})
