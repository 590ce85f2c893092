"""One frozen `Stage` for each stage. A construct is given numbers and never asks which stage it is in.

Every difference between two stages is a field here. The limits of money have no default, so that no stage goes without.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Final, Literal, get_args

from infra_cdk.console_client import ConsoleClient
from infra_cdk.entries import TURNS
from infra_cdk.stage_checks import TURN_S, check_money, check_reserved, check_snapshot, check_turns

# How functions that ask models reach the internet.
Egress = Literal["none", "nat", "ipv6"]
_NONE: Mapping[str, int] = MappingProxyType({})
# What the server keeps for superusers and itself, and what migrating, sweeping and reconciling take.
_SET_ASIDE: Final = 20
_ORIGIN: Final = re.compile(r"https?://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[1-9][0-9]{0,4})?")
# Lambda's own limits on what an event source may run at once.
_FEWEST, _MOST = 2, 1000
# The part of the database's connections that a proxy may open. The rest is for the owner, who bypasses it, and people.
PROXY_PER_CENT: Final = 90


@dataclass(frozen=True)
class Stage:
    """`zones` is where there are subnets, `endpoint_zones` where there are endpoints, which cost by the hour.

    `connections` is the database's `max_connections`. `reserved` is the concurrency that a function may use at most and
    always has, by its name; a new account has too little to reserve any.
    `canary` is CodeDeploy's name of a way to shift traffic. `page_email` and `ticket_email` are who is told of alarms.
    `retention_days` is after how many days the words of a session that nobody touches are deleted; without it they are
    kept. `implicit_session_days` is the same for sessions that no person made: those of chat programs and of plain
    calls. `customer_key` encrypts the database and the logs with a key of the stage. A stage that was deployed without
    must set False, because the key of a database cannot change. `database_snapshot` is the snapshot that the database
    was restored from, and its name; a stage that has one keeps it.

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

    def __post_init__(self) -> None:
        for one, other in (("domain", "certificate_arn"), ("issuer", "audience")):
            if (getattr(self, one) is None) is not (getattr(self, other) is None):
                raise ValueError(f"Stage {self.name} needs both {one} and {other}, or neither.")
        if self.console_client is not None and self.console_client.client_id != self.audience:
            raise ValueError(f"Stage {self.name}: the console's tokens name its client, which must be the audience.")
        for origin in self.cors_origins:
            # API Gateway's preflight compares an origin letter by letter.
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"Stage {self.name}: {origin!r} is not an origin, https://host or https://host:port.")
        if self.egress not in get_args(Egress):
            raise ValueError(f"Stage {self.name} needs an egress of {', '.join(get_args(Egress))}.")
        check_snapshot(self.name, self.database_snapshot)
        check_money(
            self.name,
            budget_usd=Decimal(self.budget_usd),
            default_cap_usd=self.default_cap_usd,
            platform_allowance_usd=self.platform_allowance_usd,
            turn_usd=self.turn_usd,
            turns_per_minute=self.turns_per_minute,
        )
        if self.reserved:
            check_reserved(self.name, self.reserved, self.worker_concurrency, self.shared_connections)
        others = self.worker_concurrency + self.open_burst
        check_turns(self.name, self.turns_at_once, others, self.shared_connections)

    @property
    def worker_concurrency(self) -> int:
        """How many workers run at once: a quarter of the connections. The others are for those who wait for an answer,
        because a posted turn runs in the function that answers."""
        return max(_FEWEST, min(_MOST, (self.connections - _SET_ASIDE) // 4))

    @property
    def turns_at_once(self) -> int:
        """How many turns of `TURN_S` run at the same time: as many as are reserved, or else as one route lets in."""
        return self.reserved.get(TURNS.name, self.turn_burst + self.turn_rate * TURN_S)

    @property
    def shared_connections(self) -> int:
        """How many of the database's connections all functions together may open."""
        return self.connections * PROXY_PER_CENT // 100 if self.proxy else self.connections - _SET_ASIDE


DEV: Final = Stage(
    name="dev",
    region="eu-central-1",
    zones=2,
    endpoint_zones=1,
    instance_type="t4g.micro",
    storage_gib=20,
    storage_limit_gib=50,
    multi_az=False,
    proxy=False,
    connections=80,
    backup_days=1,
    monitoring_s=60,
    protected=False,
    log_days=7,
    memory_mb=1024,
    canary="CodeDeployDefault.LambdaAllAtOnce",
    throttle_rate=20,
    throttle_burst=30,
    # 10 + 1 a second x 14 s = 24 turns at once, beside 15 workers and a burst of 5 open requests, on 60 connections.
    turn_rate=1,
    turn_burst=10,
    open_rate=5,
    open_burst=5,
    budget_usd=100,
    default_cap_usd=Decimal(20),
    platform_allowance_usd=Decimal(1),
    turn_usd=Decimal(2),
    turns_per_minute=30,
    cors_origins=("http://localhost:3000",),
)

STAGING: Final = Stage(
    name="staging",
    region="eu-central-1",
    zones=2,
    endpoint_zones=1,
    instance_type="t4g.small",
    storage_gib=20,
    storage_limit_gib=100,
    multi_az=False,
    # As in production, so that what a proxy does differently is seen before.
    proxy=True,
    connections=160,
    backup_days=7,
    monitoring_s=60,
    protected=False,
    log_days=30,
    memory_mb=1769,
    canary="CodeDeployDefault.LambdaCanary10Percent5Minutes",
    throttle_rate=50,
    throttle_burst=100,
    # 20 + 4 a second x 14 s = 76 turns at once, beside 35 workers and a burst of 10 open requests, on 144 connections.
    turn_rate=4,
    turn_burst=20,
    open_rate=5,
    open_burst=10,
    budget_usd=300,
    default_cap_usd=Decimal(50),
    platform_allowance_usd=Decimal(5),
    turn_usd=Decimal(5),
    turns_per_minute=60,
)

PROD: Final = Stage(
    name="prod",
    region="eu-central-1",
    zones=2,
    endpoint_zones=2,
    instance_type="m8g.large",
    storage_gib=100,
    storage_limit_gib=1000,
    multi_az=True,
    proxy=True,
    connections=600,
    backup_days=35,
    monitoring_s=15,
    protected=True,
    log_days=365,
    # A whole virtual CPU.
    memory_mb=1769,
    canary="CodeDeployDefault.LambdaCanary10Percent10Minutes",
    throttle_rate=500,
    throttle_burst=1000,
    # These bound requests, also those that a function refuses at once. `reserved` bounds the turns that run.
    turn_rate=100,
    turn_burst=200,
    open_rate=20,
    open_burst=20,
    # 20 requests a second from one address, which a whole office may share.
    waf_rate=6000,
    budget_usd=5000,
    default_cap_usd=Decimal(100),
    platform_allowance_usd=Decimal(5),
    turn_usd=Decimal(5),
    turns_per_minute=60,
    # Each function that somebody waits for keeps its own, whatever the worker or an attack on another one takes.
    # A turn occupies a process of `turns` until it ends: 208 run at once, or 14 begin each second if one takes 14 s.
    # Anonymous clients reach the authorizer, and reach the API by its open routes, which have a throttle of their own.
    reserved=MappingProxyType(
        {
            "turns": 208,
            "api": 130,
            "authorizer": 50,
            "admin": 5,
            "worker": 145,
            "sweeper": 1,
            "reconciler": 1,
            "migrate": 1,
        }
    ),
)

STAGES: Final[Mapping[str, Stage]] = MappingProxyType({stage.name: stage for stage in (DEV, STAGING, PROD)})
