"""The fields of a stage. A construct is given numbers and never asks which stage it is in.

Every difference between two stages is a field here. The limits of money have no default, so that no stage goes without.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Final, Literal, get_args

from infra_cdk import settings
from infra_cdk.console_client import ConsoleClient
from infra_cdk.entries import ENTRIES, GRAPHS, PUBLISH_SECONDS, RELEASED, TURNS, WITH_GRAPHS, WORKER, Entry
from infra_cdk.graphs import StageGraphs
from infra_cdk.places import Awake, ExistingVpc, s3_prefix_list
from infra_cdk.settings import Setting
from infra_cdk.stage_checks import TURN_S, check_money, check_names, check_reserved, check_snapshot, check_turns
from shared.names import SERVICE

# How functions that ask models reach the internet.
Egress = Literal["none", "nat", "ipv6"]
# A service that functions call over the network, by AWS's name.
Reached = Literal["bedrock-runtime", "secretsmanager", "sqs"]
# Which of Pantheon's own metrics the functions emit.
Emitted = Literal["all", "alarms"]
ALL_REACHED: Final = get_args(Reached)
_NONE: Mapping[str, int] = MappingProxyType({})
_DEFAULTS: Mapping[str, Setting] = MappingProxyType({})
# What the server keeps for superusers and itself, and what migrating, sweeping and reconciling take.
_SET_ASIDE: Final = 20
_ORIGIN: Final = re.compile(r"https?://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[1-9][0-9]{0,4})?")
# Lambda's own limits on what an event source may run at once.
_FEWEST, _MOST = 2, 1000
# The part of the database's connections that a proxy may open. The rest is for the owner, who bypasses it, and people.
PROXY_PER_CENT: Final = 90


@dataclass(frozen=True)
class Stage:
    """`copy_name` is a name that keeps two copies of a stage apart in one account and Region. `account` is the account
    that the stage belongs to; without it, the stage is deployed to the account of the AWS credentials.

    `vpc` is a network that exists; without it, the stack makes one. `s3_prefix_list` is AWS's list of the addresses of
    S3 in the Region, if places.py does not have it. `endpoints` are the services that functions reach
    by a private endpoint. They reach the others by IPv6, or by NAT if `egress` is "nat".
    `zones` is where there are subnets, `endpoint_zones` where there are endpoints, which cost by the hour.

    `connections` is the database's `max_connections`. `reserved` is the concurrency that a function may use at most and
    always has, by its name; a new account has too little to reserve any.
    `canary` is CodeDeploy's name of a way to shift traffic. `page_email` and `ticket_email` are who is told of alarms.
    `retention_days` is after how many days the words of a session that nobody touches are deleted; without it they are
    kept. `implicit_session_days` is the same for sessions that no person made: those of chat programs and of plain
    calls. `customer_key` encrypts the database and the logs with a key of the stage. A stage that was deployed without
    must set False, because the key of a database cannot change. `database_snapshot` is the snapshot that the database
    was restored from, and its name; a stage that has one keeps it.

    `proxy_name` keeps the name of a proxy that exists. `snap_start` keeps snapshots of the functions that somebody
    waits for. `metrics` is "all" or "alarms", which is only what alarms read. `dashboards` says whether there are
    dashboards.
    `awake` is when the database runs; without it, the database always runs.
    `settings` are variables of the functions (docs/api.md) that have no field here.
    `graphs` are the graphs of LangGraph that the stage runs; without them, nothing of LangGraph is deployed.

    `catalog` is the path of the file with the stage's models, from the root of the repository. `egress` is how
    functions that ask models reach providers on the internet. `nat` is one NAT gateway in each endpoint zone. `ipv6`
    has no price, and reaches only providers with an IPv6 address.
    `roster` is the path of the file with the agents and councils of each new tenant; without it, a tenant starts empty.

    `budget_usd` is what a month of the stage may cost before alarms ring: the models by the ledger, AWS by its bill.
    `default_cap_usd` is what a tenant may spend in a month until the operator sets its cap. `platform_allowance_usd` is
    what the platform bears for one tenant in a month. `turn_usd` is what one turn may cost, and `turns_per_minute` is
    how many turns a tenant may post in 60 seconds.

    `throttle_rate` and `throttle_burst` bound each route, `turn_rate` and `turn_burst` each route that runs turns,
    `open_rate` and `open_burst` each route that takes no token. A turn occupies a process of `turns` until it ends.
    `waf_rate` is how many requests one address may send in five minutes; without it there is no web ACL.
    `cors_origins` are the origins whose pages may call. `domain` is the API's own name and `certificate_arn` its
    certificate in the same Region; without them AWS gives a name.

    `issuer` and `audience` are whose tokens are accepted; without them a Cognito pool is made. `tenant_claim` and
    `roles_claim` are claims of the issuer's tokens; the pool has its own. `operator_role` operates the deployment. With
    `tenant_of_one`, a token without a tenant is accepted, and its user is alone in a tenant. `console_client` signs
    users of the console in at the issuer; the pool has its own.

    Sizes are in GiB and MB, rates are requests per second.
    """

    name: str
    region: str
    zones: int
    endpoint_zones: int
    instance_type: str
    storage_gib: int
    storage_limit_gib: int
    multi_az: bool
    proxy: bool
    connections: int
    backup_days: int
    monitoring_s: int
    protected: bool
    log_days: int
    memory_mb: int
    canary: str
    throttle_rate: int
    throttle_burst: int
    turn_rate: int
    turn_burst: int
    open_rate: int
    open_burst: int
    budget_usd: int
    default_cap_usd: Decimal
    platform_allowance_usd: Decimal
    turn_usd: Decimal
    turns_per_minute: int
    reserved: Mapping[str, int] = field(default_factory=lambda: _NONE)
    waf_rate: int | None = None
    cors_origins: tuple[str, ...] = ()
    domain: str | None = None
    certificate_arn: str | None = None
    issuer: str | None = None
    audience: str | None = None
    tenant_claim: str = "tenant_id"
    roles_claim: str = "roles"
    operator_role: str = "pantheon:operator"
    tenant_of_one: bool = False
    page_email: str | None = None
    ticket_email: str | None = None
    retention_days: int | None = None
    implicit_session_days: int = 7
    customer_key: bool = True
    database_snapshot: str | None = None
    catalog: str = "shared/catalog/files/bedrock.toml"
    egress: Egress = "none"
    roster: str | None = None
    console_client: ConsoleClient | None = None
    copy_name: str | None = None
    account: str | None = None
    vpc: ExistingVpc | None = None
    s3_prefix_list: str | None = None
    endpoints: tuple[Reached, ...] = ALL_REACHED
    proxy_name: str | None = None
    snap_start: bool = True
    metrics: Emitted = "all"
    dashboards: bool = True
    awake: Awake | None = None
    settings: Mapping[str, Setting] = field(default_factory=lambda: _DEFAULTS)
    graphs: StageGraphs | None = None

    def __post_init__(self) -> None:
        check_names(self.name, self.copy_name, self.account)
        for one, other in (("domain", "certificate_arn"), ("issuer", "audience")):
            if (getattr(self, one) is None) is not (getattr(self, other) is None):
                raise ValueError(f"Stage {self.name} needs both {one} and {other}, or neither.")
        if self.console_client:
            self.console_client.check(self.name, self.issuer, self.audience)
        for origin in self.cors_origins:
            # API Gateway's preflight compares an origin letter by letter.
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"Stage {self.name}: {origin!r} is not an origin, https://host or https://host:port.")
        for name, choices in (("egress", Egress), ("metrics", Emitted)):
            if getattr(self, name) not in get_args(choices):
                raise ValueError(f"Stage {self.name} needs {name} of {', '.join(get_args(choices))}.")
        if unknown := set(self.endpoints) - set(ALL_REACHED):
            raise ValueError(f"Stage {self.name} has no endpoint {min(unknown)}; there are {', '.join(ALL_REACHED)}.")
        self._check_places()
        settings.check(self.name, self.settings)
        check_snapshot(self.name, self.prefix, self.database_snapshot)
        check_money(
            self.name,
            budget_usd=Decimal(self.budget_usd),
            default_cap_usd=self.default_cap_usd,
            platform_allowance_usd=self.platform_allowance_usd,
            turn_usd=self.turn_usd,
            turns_per_minute=self.turns_per_minute,
        )
        at_once = {WORKER.name: self.worker_concurrency}
        if self.graphs:
            self.graphs.check(self.name)
            at_once |= {GRAPHS.name: self.graphs_concurrency}
        if self.reserved:
            check_reserved(self.name, self.entries, self.reserved, at_once, self.shared_connections)
        others = sum(at_once.values()) + self.open_burst
        check_turns(self.name, self.turns_at_once, others, self.shared_connections)

    def _check_places(self) -> None:
        """Raise ValueError for a network or a night that the stage cannot have."""
        zones = len(self.vpc.zones) if self.vpc else self.zones
        if not 1 <= self.endpoint_zones <= zones:
            raise ValueError(f"Stage {self.name} has {zones} zones and needs endpoint_zones from 1 to that.")
        s3_prefix_list(self.region, self.s3_prefix_list)
        if self.vpc:
            self.vpc.check(self.name)
        if self.awake:
            self.awake.check(self.name)
            if self.protected:
                raise ValueError(f"Stage {self.name} is protected, so its database cannot stop: leave out awake.")
        if self.proxy_name and not self.proxy:
            raise ValueError(f"Stage {self.name} has a proxy_name and no proxy.")

    @property
    def deployment(self) -> str:
        """The name that no other deployment of the account and Region has."""
        return f"{self.copy_name}-{self.name}" if self.copy_name else self.name

    @property
    def prefix(self) -> str:
        """How every name of a resource begins."""
        return f"{SERVICE}-{self.deployment}"

    @property
    def turn_seconds(self) -> float:
        """How long a turn runs in the function that answers."""
        return settings.turn_seconds(self.settings)

    @property
    def turns_seconds(self) -> int:
        """How long the function that answers turns may run: a turn, and the time to publish it."""
        return math.ceil(self.turn_seconds) + PUBLISH_SECONDS

    @property
    def turn_s(self) -> int:
        """How long a turn occupies a process. It is the cost model's turn, or less if a turn may take less."""
        return min(TURN_S, math.ceil(self.turn_seconds))

    @property
    def worker_concurrency(self) -> int:
        """How many workers run at once: a quarter of the connections. The others are for those who wait for an answer,
        because a posted turn runs in the function that answers."""
        return max(_FEWEST, min(_MOST, (self.connections - _SET_ASIDE) // 4))

    @property
    def graphs_concurrency(self) -> int:
        """How many turns of graphs run at once: an eighth of the connections."""
        return max(_FEWEST, min(_MOST, (self.connections - _SET_ASIDE) // 8))

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All functions of the stage."""
        return WITH_GRAPHS if self.graphs else ENTRIES

    @property
    def released(self) -> tuple[Entry, ...]:
        """The functions that a release is shifted to."""
        return (*RELEASED, GRAPHS) if self.graphs else RELEASED

    @property
    def turns_at_once(self) -> int:
        """How many turns of `turn_s` run at the same time: as many as are reserved, or else as one route lets in."""
        return self.reserved.get(TURNS.name, self.turn_burst + self.turn_rate * self.turn_s)

    @property
    def shared_connections(self) -> int:
        """How many of the database's connections all functions together may open."""
        return self.connections * PROXY_PER_CENT // 100 if self.proxy else self.connections - _SET_ASIDE
