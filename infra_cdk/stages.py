"""Define the three kinds of stages. A stage of stages.toml starts with the values of its kind."""

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from infra_cdk.stage import Egress, Stage

__all__ = ["DEV", "PROD", "STAGES", "STAGING", "Egress", "Stage"]

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
    # Switches that lower the cost. docs/costs.md has the USD of each.
    endpoints=("bedrock-runtime",),
    snap_start=False,
    metrics="alarms",
    dashboards=False,
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
    # As in production, so that staging shows problems with a proxy first.
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
    # With this memory, Lambda gives one virtual CPU.
    memory_mb=1769,
    canary="CodeDeployDefault.LambdaCanary10Percent10Minutes",
    throttle_rate=500,
    throttle_burst=1000,
    # These limit requests, also refused ones. `reserved` limits the running turns.
    turn_rate=100,
    turn_burst=200,
    open_rate=20,
    open_burst=20,
    # 20 requests a second from one address, which an office may share.
    waf_rate=6000,
    budget_usd=5000,
    default_cap_usd=Decimal(100),
    platform_allowance_usd=Decimal(5),
    turn_usd=Decimal(5),
    turns_per_minute=60,
    # The worker, or an attack on one function, cannot take the invocations of another one.
    # A turn occupies a process of `turns` until it ends. 208 run at the same time, which is 14 a second at 14 s each.
    # Anonymous clients reach the authorizer, and the API only by open routes, which have their own throttle.
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
