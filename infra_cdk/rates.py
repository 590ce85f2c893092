"""List AWS's prices: on demand, in eu-central-1, without free tiers, volume tiers or discounts.

The cost dashboard and the cost model (`bench/cost_model.py`) use only these prices. Each has its source and its month.
Nobody here has read AWS's own list: `LIST` and `PAGE` are figures of the price list and of Lambda's pricing page that
others published. Compare an `ASSUMED` price with the list before you rely on it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

LIST: Final = "price list, 2026-10"
LIST_AUGUST: Final = "price list, 2026-08"
PAGE: Final = "pricing page, 2026-09"
ASSUMED: Final = "assumed"


@dataclass(frozen=True)
class Rate:
    """A price in USD for each unit `per`."""

    usd: float
    per: str
    source: str


LAMBDA_GB_SECOND: Final = Rate(0.0000133334, "GB-second, arm64", PAGE)
LAMBDA_REQUEST: Final = Rate(0.0000002, "invocation", PAGE)
SNAPSHOT_GB_SECOND: Final = Rate(0.0000015046, "GB-second of a SnapStart version that is kept", PAGE)
RESTORED_GB: Final = Rate(0.0001397998, "GB restored by SnapStart", PAGE)
# One zone. A second zone doubles the price.
DATABASE_HOUR: Final[Mapping[str, Rate]] = MappingProxyType(
    {
        name: Rate(usd, f"hour of a db.{name}", LIST)
        for name, usd in (("t4g.micro", 0.019), ("t4g.small", 0.037), ("m8g.large", 0.20))
    }
)
STORAGE_GIB_MONTH: Final = Rate(0.137, "GiB and month of gp3, each zone", LIST)
BACKUP_GIB_MONTH: Final = Rate(0.103, "GiB and month of backups beyond the database's size", LIST)
# AWS charges at least two virtual CPUs.
PROXY_HOUR: Final = Rate(2 * 0.018, "hour of an RDS Proxy for two virtual CPUs", ASSUMED)
ENDPOINT_HOUR: Final = Rate(0.012, "hour of an interface endpoint, each zone", LIST)
ENDPOINT_GB: Final = Rate(0.01, "GB through an interface endpoint", LIST)
# A gateway also has a public address. An egress-only internet gateway is free.
NAT_HOUR: Final = Rate(0.052, "hour of a NAT gateway, each endpoint zone", ASSUMED)
NAT_GB: Final = Rate(0.052, "GB through a NAT gateway, both ways", ASSUMED)
ADDRESS_HOUR: Final = Rate(0.005, "hour of a public IPv4 address", ASSUMED)
ZONE_GB: Final = Rate(0.02, "GB between zones, both ways", ASSUMED)
EGRESS_GB: Final = Rate(0.09, "GB to the internet", ASSUMED)
REST_REQUEST: Final = Rate(0.0000037, "request to a REST API", LIST_AUGUST)
# AWS counts a streamed answer as one request for each of these parts that it begins.
STREAMED_REQUEST_BYTES: Final = 10_000_000
ACL_MONTH: Final = Rate(5.0, "web ACL and month", ASSUMED)
ACL_RULE_MONTH: Final = Rate(1.0, "rule of a web ACL and month", ASSUMED)
ACL_REQUEST: Final = Rate(0.0000006, "request to a web ACL", ASSUMED)
OBJECT_WRITE: Final = Rate(0.0000054, "object written to S3", ASSUMED)
OBJECT_READ: Final = Rate(0.00000043, "object read from S3", ASSUMED)
QUEUE_REQUEST: Final = Rate(0.0000004, "request to SQS", ASSUMED)
LOG_GB: Final = Rate(0.63, "GB of logs written", LIST)
LOG_GB_MONTH: Final = Rate(0.0324, "GB and month of logs kept, compressed", LIST)
METRIC_MONTH: Final = Rate(0.30, "custom metric and month", LIST)
ALARM_MONTH: Final = Rate(0.10, "metric that an alarm reads and month", LIST)
COMPOSITE_MONTH: Final = Rate(0.50, "composite alarm and month", ASSUMED)
DASHBOARD_MONTH: Final = Rate(3.0, "dashboard and month", ASSUMED)
SECRET_MONTH: Final = Rate(0.40, "secret and month", LIST)
KEY_MONTH: Final = Rate(1.0, "key of KMS and month", ASSUMED)
HOURS_A_MONTH: Final = 730
