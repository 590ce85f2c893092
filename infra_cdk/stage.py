"""Define the fields of a stage, and check that they fit each other.

Every difference between two stages is a field, so no construct reads the stage's name to decide. The limits of money
have no default.
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

# The route of functions that ask models to the internet.
Egress = Literal["none", "nat", "ipv6"]
# A service that functions call over the network, by AWS's name.
Reached = Literal["bedrock-runtime", "secretsmanager", "sqs"]
# The metrics of Pantheon that functions emit.
Emitted = Literal["all", "alarms"]
ALL_REACHED: Final = get_args(Reached)
_NONE: Mapping[str, int] = MappingProxyType({})
_DEFAULTS: Mapping[str, Setting] = MappingProxyType({})
# Connections for superusers, the server, the migration, the sweeper and the reconciler.
_SET_ASIDE: Final = 20
_ORIGIN: Final = re.compile(r"https?://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[1-9][0-9]{0,4})?")
# Lambda's limits for the concurrency of an event source.
_FEWEST, _MOST = 2, 1000
# The share of the database's connections for the proxy. The rest is for the owner and for people.
PROXY_PER_CENT: Final = 90


@dataclass(frozen=True)
class Stage:
    """The settings of a stage. Sizes are in GiB and MB, rates are requests per second.

    Place:
        account: the AWS account. Without it, the credentials decide.
        copy_name: keeps two copies of a stage in one account and Region apart.
        zones, endpoint_zones: zones with subnets, and those with endpoints, which cost by the hour.
        vpc: an existing network. Without it, the stack makes one.
        endpoints: services with a private endpoint. Functions reach the others by IPv6, or by NAT if `egress` is "nat".
        s3_prefix_list: AWS's list of the addresses of S3 in the Region, if places.py does not have it.
        egress: the route to providers on the internet. "nat" is a NAT gateway in each endpoint zone. "ipv6" is free and
            reaches only providers with an IPv6 address.

    Database:
        connections: the database's `max_connections`.
        proxy_name: keeps the name of an existing proxy.
        customer_key: encrypts database and logs with a key of the stage. False for a database that has another key.
        database_snapshot: the snapshot that the database was restored from, which is also its name. Keep it set.
        awake: the hours of the database. Without it, the database always runs.

    Functions:
        reserved: concurrency that a function always has and cannot exceed, by name. A new account has too little.
        canary: CodeDeploy's name of the way to move traffic.
        snap_start: functions that clients wait for start from snapshots.
        settings: other variables of the functions, by name.
        graphs: LangGraph's graphs. Without them, the stack deploys nothing of LangGraph.
        catalog: path of the file of models, from the root of the repository.
        roster: path of the file of new tenants' agents and councils. Without it, a tenant starts empty.
        retention_days: days after which the text of an unused session is deleted. Without it, text is kept.
        implicit_session_days: the same for sessions of chat programs and of plain calls.

    Money:
        budget_usd: the month of the stage that rings alarms: models by the ledger, AWS by its bill.
        default_cap_usd: a tenant's month until the operator sets its cap.
        platform_allowance_usd: the most that the platform pays for a tenant in a month.
        turn_usd: the most that one turn costs.
        turns_per_minute: turns that a tenant may post in 60 seconds.

    Requests:
        throttle_rate, throttle_burst: limits of each route.
        turn_rate, turn_burst: limits of each route that runs turns. A turn occupies a process of `turns` until it ends.
        open_rate, open_burst: limits of each route without a token.
        waf_rate: requests of one address in five minutes. Without it, there is no web ACL.
        cors_origins: origins whose pages may call.
        domain, certificate_arn: the API's domain and its certificate in the stage's Region.

    Identity:
        issuer, audience: the accepted tokens. Without them, the stack makes a Cognito pool.
        tenant_claim, roles_claim: claims of the issuer's tokens. The pool has its own.
        operator_role: the role that operates the deployment.
        tenant_of_one: accept a token without a tenant, and give its user a tenant.
        console_client: signs users of the console in at the issuer. The pool has its own.

    Watching:
        page_email, ticket_email: subscribers of the alarms' topics.
        metrics: "all", or "alarms" for only the metrics that alarms read.
        dashboards: whether the stack makes dashboards.
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
            # API Gateway's preflight compares origins as text.
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
        """Raise ValueError for a network or hours that do not fit the stage."""
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
        """Return the name of the deployment, which is unique in the account and Region."""
        return f"{self.copy_name}-{self.name}" if self.copy_name else self.name

    @property
    def prefix(self) -> str:
        """Return the beginning of the names of all resources."""
        return f"{SERVICE}-{self.deployment}"

    @property
    def turn_seconds(self) -> float:
        """Return the seconds that a turn may run in the function that answers."""
        return settings.turn_seconds(self.settings)

    @property
    def turns_seconds(self) -> int:
        """Return the timeout of the function `turns`: a turn, and the time to publish it."""
        return math.ceil(self.turn_seconds) + PUBLISH_SECONDS

    @property
    def turn_s(self) -> int:
        """Return the seconds that a turn occupies a process: the cost model's turn, or `turn_seconds` if less."""
        return min(TURN_S, math.ceil(self.turn_seconds))

    @property
    def worker_concurrency(self) -> int:
        """Return the most concurrent workers: a quarter of the connections.

        The others are for functions that clients wait for, because a posted turn runs in the function that answers."""
        return max(_FEWEST, min(_MOST, (self.connections - _SET_ASIDE) // 4))

    @property
    def graphs_concurrency(self) -> int:
        """Return the most concurrent turns of graphs: an eighth of the connections."""
        return max(_FEWEST, min(_MOST, (self.connections - _SET_ASIDE) // 8))

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Return all functions of the stage."""
        return WITH_GRAPHS if self.graphs else ENTRIES

    @property
    def released(self) -> tuple[Entry, ...]:
        """Return the functions whose traffic moves to a release."""
        return (*RELEASED, GRAPHS) if self.graphs else RELEASED

    @property
    def turns_at_once(self) -> int:
        """Return the concurrent turns of `turn_s` seconds: those reserved, or else those that one route admits."""
        return self.reserved.get(TURNS.name, self.turn_burst + self.turn_rate * self.turn_s)

    @property
    def shared_connections(self) -> int:
        """Return the connections that all functions together may open."""
        return self.connections * PROXY_PER_CENT // 100 if self.proxy else self.connections - _SET_ASIDE
