"""Define an existing network of a stage, and the hours of its database."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

# AWS's lists of the addresses of S3. A list has the same id in every account. The CDK could look it up only with an
# account. AWS refuses a deployment with a wrong id.
_S3_PREFIX_LISTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "eu-central-1": "pl-6ea54007",
        "eu-west-1": "pl-6da54004",
        "us-east-2": "pl-7ba54012",
        "us-west-2": "pl-68a54001",
    }
)
_IDS: Final = {
    name: rf"{kind}-([0-9a-f]{{8}}|[0-9a-f]{{17}})"
    for name, kind in (("id", "vpc"), ("subnets", "subnet"), ("route_tables", "rtb"))
}
_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_THERE: Final = ("bedrock-runtime", "secretsmanager", "sqs", "s3")


def s3_prefix_list(region: str, known: str | None = None) -> str:
    """Return `known` or the table's id of AWS's list for `region`. Raise ValueError without a valid one."""
    found = known or _S3_PREFIX_LISTS.get(region)
    if found is None or not re.fullmatch("pl-[0-9a-f]+", found):
        raise ValueError(
            f"s3_prefix_list must be the id of the list of S3's addresses in {region}. Read it with: aws ec2 "
            f"describe-managed-prefix-lists --filters Name=prefix-list-name,Values=com.amazonaws.{region}.s3"
        )
    return found


@dataclass(frozen=True)
class ExistingVpc:
    """A VPC of the user. `zones`, `subnets` and `route_tables` have one value for each private subnet, in one order.

    `endpoints` are the services that the VPC has private endpoints with private DNS for."""

    id: str
    cidr: str
    zones: tuple[str, ...]
    subnets: tuple[str, ...]
    route_tables: tuple[str, ...]
    endpoints: tuple[str, ...] = ()

    def check(self, stage: str) -> None:
        """Raise ValueError if ids are malformed or the parts do not match each other."""
        for name, form in _IDS.items():
            found = getattr(self, name)
            for one in (found,) if isinstance(found, str) else found:
                if not re.fullmatch(form, one):
                    raise ValueError(f"Stage {stage}: vpc.{name} has {one!r}, which is no id of AWS.")
        try:
            IPv4Network(self.cidr)
        except ValueError:
            raise ValueError(f"Stage {stage}: vpc.cidr {self.cidr!r} is no IPv4 network.") from None
        if not len(self.zones) == len(self.subnets) == len(self.route_tables):
            raise ValueError(f"Stage {stage}: vpc needs as many zones and route_tables as subnets.")
        if len(set(self.zones)) < max(2, len(self.zones)):
            raise ValueError(f"Stage {stage}: vpc needs subnets in two zones or more, one in each; RDS asks for two.")
        if unknown := set(self.endpoints) - set(_THERE):
            raise ValueError(f"Stage {stage}: vpc.endpoints has {min(unknown)!r}; there are {', '.join(_THERE)}.")


@dataclass(frozen=True)
class Awake:
    """The hours of the database: from `start` to `stop` of working days, or of all days with `weekends`."""

    start: str
    stop: str
    timezone: str = "UTC"
    weekends: bool = False

    def check(self, stage: str) -> None:
        """Raise ValueError unless `start` is before `stop` on one day."""
        for name in ("start", "stop"):
            if not _TIME.fullmatch(getattr(self, name)):
                raise ValueError(f"Stage {stage}: awake.{name} must be a time from 00:00 to 23:59.")
        if self.minutes <= 0:
            raise ValueError(f"Stage {stage}: awake.stop must be later than awake.start on the same day.")
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"Stage {stage}: awake.timezone {self.timezone!r} is no time zone.") from None

    @property
    def minutes(self) -> int:
        """Return the minutes of a day in which the database runs."""
        return _minute(self.stop) - _minute(self.start)

    @property
    def share(self) -> float:
        """Return the share of a week in which the database runs."""
        return self.minutes / (24 * 60) * (7 if self.weekends else 5) / 7


def _minute(time: str) -> int:
    hour, _, minute = time.partition(":")
    return int(hour) * 60 + int(minute)
