"""What AWS is assumed to charge beside the models, in USD, in eu-central-1, without free tiers or discounts.

These are assumptions to be held against the price list before they are relied on; the dashboard states those that it
uses. A bill is what AWS Budgets and the Cost Explorer say.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

LAMBDA_GB_SECOND: Final = 0.0000133334  # arm64
LAMBDA_REQUEST: Final = 0.0000002
# On demand, one zone, by the hour; a second zone doubles it.
DATABASE_HOUR: Final[Mapping[str, float]] = MappingProxyType(
    {"t4g.micro": 0.019, "t4g.small": 0.038, "m8g.large": 0.20}
)
STORAGE_GIB_MONTH: Final = 0.137
# At least two virtual CPUs are charged.
PROXY_HOUR: Final = 2 * 0.018
HOURS_A_MONTH: Final = 730
