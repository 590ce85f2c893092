"""Make the stack of one stage. `infra_cdk/rights.py` has all rights of its functions."""

from collections.abc import Mapping
from typing import Final

from aws_cdk import CfnOutput, Environment, Fn, Stack, Tags
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra_cdk import entries, identity, rights, settings, stage_catalog
from infra_cdk.account_stack import log_url
from infra_cdk.alarms import Alarms
from infra_cdk.api import Api
from infra_cdk.assets import WRAPPER, Assets
from infra_cdk.cost_dashboard import CostDashboard
from infra_cdk.database import Database
from infra_cdk.endpoints import Service
from infra_cdk.entries import ENTRIES, MIGRATE, Entry
from infra_cdk.function import Function
from infra_cdk.health_dashboard import HealthDashboard
from infra_cdk.issuer_keys import IssuerKeys
from infra_cdk.layers import layer
from infra_cdk.logs import Logs
from infra_cdk.migration import Migration
from infra_cdk.network import Network
from infra_cdk.nights import Nights, telling
from infra_cdk.notifications import Notifications
from infra_cdk.queue import Queue
from infra_cdk.release import Release
from infra_cdk.schedules import Schedules
from infra_cdk.spending import Spending
from infra_cdk.stages import Stage
from infra_cdk.text_key import TextKey
from shared.names import SERVICE, Env, Role

# Lambda runs this program with the command of its own loop as arguments.
_EXEC_WRAPPER: Final = "AWS_LAMBDA_EXEC_WRAPPER"


class PantheonStack(Stack):
    """All resources of one stage. `functions` are by name. Raises ConfigurationError for an unusable catalog."""

    def __init__(self, scope: Construct, stage: Stage, assets: Assets) -> None:
        catalog = stage_catalog.read(stage)
        self._zones = stage.zones
        super().__init__(
            scope,
            # The name of the template's file is the same for all copies.
            f"{SERVICE}-{stage.name}",
            stack_name=stage.prefix,
            env=Environment(account=stage.account, region=stage.region),
            description=f"Pantheon, stage {stage.deployment}",
            termination_protection=stage.protected,
        )
        self.stage, self.catalog = stage, catalog
        self._tag()
        key = TextKey(self, "TextKey", stage=stage).key if stage.customer_key else None
        logs = Logs(stage.log_days, stage.protected, key)
        self.network = Network(self, "Network", stage=stage, services=self._services(), logs=logs)
        self.database = Database(self, "Database", network=self.network, stage=stage, logs=logs, key=key)
        self.queue = Queue(self, "Queue")
        self.graphs_queue = Queue(self, "GraphsQueue") if stage.graphs else None
        self.issuer = self._issuer()
        self.issuer_keys = IssuerKeys(self, "IssuerKeys", protected=stage.protected)
        self.functions = self._functions(assets, logs)
        released = [self.functions[entry.name] for entry in stage.released]
        granted = rights.Rights(
            self.network, self.database, self.queue, self.issuer_keys, self.catalog, self.graphs_queue
        )
        for function in self.functions.values():
            granted.grant(function)
        Migration(
            self,
            "Migration",
            migrate=self.functions[MIGRATE.name],
            # The migration needs the rules of the security groups to reach the database.
            after=[self.database, self.network, *(f.group for f in self.functions.values() if f.group is not None)],
            released=released,
        )
        release = Release(self, "Release", functions=released, stage=stage)
        self.queue.feed(self.functions[entries.WORKER.name].alias, stage.worker_concurrency)
        if self.graphs_queue is not None:
            self.graphs_queue.feed(self.functions[entries.GRAPHS.name].alias, stage.graphs_concurrency)
        self.schedules = Schedules(self, "Schedules", released)
        # Delete the schedules first. Otherwise a copy of the keys fills the bucket again while it is emptied.
        self.schedules.node.add_dependency(self.issuer_keys)
        self.issuer_keys.fill(self.functions[entries.JWKS.name])
        self.api = Api(
            self,
            "FrontDoor",
            stage=stage,
            functions={f.entry.name: f.alias for f in released if f.entry.serves},
            authorizer=self.functions[entries.AUTHORIZER.name].alias,
            logs=logs,
        )
        if self._pool is not None:
            self._pool.lead_back(self.api.url)
        self._watch(release)
        self._sleep()
        logs.keep_cdks_own(self)
        CfnOutput(self, "Url", value=self.api.url, description="The API's address")
        CfnOutput(self, "Console", value=f"{self.api.url}/console/", description="The console's address")
        CfnOutput(
            self, "Token", value=self.issuer.how, description="The commands that sign a user in and print a token"
        )

    @property
    def availability_zones(self) -> list[str]:
        """Return the Region's first zones, which AWS resolves at the deployment.

        The CDK's own property asks AWS for them if the stage names its account. A template needs no account here."""
        return [Fn.select(number, Fn.get_azs()) for number in range(self._zones)]

    def _services(self) -> set[Service]:
        """Return the services that functions of this stage call."""
        return set(Service) if self.catalog.models else set(Service) - {Service.BEDROCK}

    def _tag(self) -> None:
        """Tag all resources for cost allocation."""
        for key, value in (("project", SERVICE), ("stage", self.stage.deployment)):
            # CloudFormation's schema of this type has no tags.
            Tags.of(self).add(key, value, exclude_resource_types=["AWS::RDS::DBProxyTargetGroup"])

    def _issuer(self) -> identity.Issuer:
        stage = self.stage
        self._pool: identity.Pool | None = None
        if stage.issuer and stage.audience:
            return identity.given(
                stage.issuer, stage.audience, stage.tenant_claim, stage.roles_claim, stage.console_client
            )
        role, protected = stage.operator_role, stage.protected
        self._pool = identity.Pool(self, "Identity", prefix=stage.prefix, operator_role=role, protected=protected)
        return self._pool.issuer

    def _functions(self, assets: Assets, logs: Logs) -> dict[str, Function]:
        names = {entry.libraries for entry in self.stage.entries}
        libraries = {
            name: layer(self, name.title(), folder) for name, folder in assets.libraries.items() if name in names
        }
        core, models = layer(self, "Core", assets.core), self.catalog.layer(self)
        graphs = self.stage.graphs.layers(self) if self.stage.graphs else []
        return {
            entry.name: Function(
                self,
                entry=entry,
                stage=self.stage,
                code=lambda_.Code.from_asset(str(assets.function(entry.name))),
                layers=[
                    *(libraries[entry.libraries], core),
                    *([models] if entry.reads_catalog else []),
                    *(graphs if entry.runs_graphs else []),
                ],
                network=self.network,
                environment=self._environment(entry),
                logs=logs,
                away=self._is_away(entry),
            )
            for entry in self.stage.entries
        }

    def _is_away(self, entry: Entry) -> bool:
        """Return whether a function needs the internet, for a provider or for a service without a private endpoint."""
        called = rights.services(entry, self.catalog)
        return (entry.asks and self.stage.egress != "none") or self.network.leads_out(called)

    def _environment(self, entry: Entry) -> Mapping[str, str]:
        """Return the environment variables that a function reads, and no others."""
        if entry is MIGRATE:
            return {
                str(Env.OWNER_DATABASE_URL): self.database.owner_url,
                str(Env.OWNER_SECRET_ARN): self.database.secret_arn,
                **self.network.addresses(rights.services(entry, self.catalog)),
            }
        values: dict[str, str] = {Env.STAGE: self.stage.deployment, **settings.told(entry, self.stage.settings)}
        if self.stage.metrics != "all":
            values |= {Env.METRICS: self.stage.metrics}
        values |= self.network.addresses(rights.services(entry, self.catalog))
        if entry.role is Role.APP:
            values |= {
                Env.APP_DATABASE_URL: self.database.url(Role.APP),
                Env.TURN_MAX_USD: str(self.stage.turn_usd),
                Env.TURNS_PER_MINUTE: str(self.stage.turns_per_minute),
            }
        if entry.reads_catalog:
            values |= {Env.CATALOG: stage_catalog.DEPLOYED}
        if entry in (entries.API, entries.TURNS) and self.catalog.roster is not None:
            values |= {Env.ROSTER: stage_catalog.DEPLOYED_ROSTER}
        if entry.reads_budgets:
            values |= {
                Env.DEFAULT_CAP_USD: str(self.stage.default_cap_usd),
                Env.PLATFORM_ALLOWANCE_USD: str(self.stage.platform_allowance_usd),
            }
        if entry.serves:
            values |= {Env.OPERATOR_ROLE: self.stage.operator_role}
            if self.stage.cors_origins:
                values |= {Env.CORS_ORIGINS: ",".join(self.stage.cors_origins)}
        if entry.streams:
            values |= {_EXEC_WRAPPER: WRAPPER}
        values |= {**self._identity(entry), **self._operations(entry)}
        if entry.sends:
            values |= {Env.QUEUE_URL: self.queue.queue.queue_url}
        if self.stage.graphs and self.graphs_queue:
            values |= self.stage.graphs.environment(entry, self.graphs_queue)
        if entry.reads_log and self.catalog.models:
            values |= {Env.INVOCATION_LOG: log_url(self)}
        return {str(name): value for name, value in values.items()}

    def _operations(self, entry: Entry) -> Mapping[str, str]:
        """Return the environment of the functions that work across tenants."""
        values: dict[str, str] = {}
        if entry.role is Role.OPS:
            values |= {Env.OPS_DATABASE_URL: self.database.url(Role.OPS)}
        if entry.role is Role.OPERATOR:
            values |= {Env.OPERATOR_DATABASE_URL: self.database.url(Role.OPERATOR)}
        if entry is entries.SWEEPER:
            values |= {Env.IMPLICIT_SESSION_DAYS: str(self.stage.implicit_session_days)}
            values |= {Env.RETENTION_DAYS: str(days)} if (days := self.stage.retention_days) is not None else {}
        return values

    def _identity(self, entry: Entry) -> Mapping[str, str]:
        """Return the environment of the functions that know the issuer."""
        values: dict[str, str] = {}
        if entry is entries.API and self.issuer.console is not None:
            values |= self.issuer.console.environment(self.issuer.url)
        if entry.reads_keys or entry.writes_keys:
            values |= {Env.JWT_ISSUER: self.issuer.url, Env.JWKS_URL: self.issuer_keys.url}
        if entry.reads_keys:
            values |= {
                Env.AUTH_DATABASE_URL: self.database.url(Role.AUTH),
                Env.JWT_AUDIENCE: self.issuer.audience,
                Env.TENANT_CLAIM: self.issuer.tenant_claim,
                Env.ROLES_CLAIM: self.issuer.roles_claim,
                Env.OPERATOR_ROLE: self.stage.operator_role,
                Env.TENANT_OF_ONE: str(self.stage.tenant_of_one).lower(),
            }
        return values

    def _watch(self, release: Release) -> None:
        """Make the topics, the alarms, the budget and the dashboards."""
        notifications = Notifications(self, "Notifications", stage=self.stage)
        Alarms(
            self,
            "Alarms",
            stage=self.stage,
            functions=self.functions,
            database=self.database,
            queue=self.queue,
            graphs_queue=self.graphs_queue,
            models=list(self.catalog.models),
            notifications=notifications,
            released=release.alarms,
        )
        Spending(self, "Spending", stage=self.stage, ticket=notifications.ticket)
        if self.stage.dashboards:
            self._draw()

    def _sleep(self) -> None:
        """Stop the database at night if the stage has `awake`."""
        if self.stage.awake is None:
            return
        needing = [entry.name for entry in ENTRIES if entry.schedule and entry.role]
        Nights(
            self,
            "Nights",
            awake=self.stage.awake,
            instance=self.database.instance.instance_identifier,
            instance_arn=self.database.instance.instance_arn,
            clock=[self.schedules.rules[name] for name in needing],
            alarms=telling(self),
        )

    def _draw(self) -> None:
        database, functions = self.database, self.functions
        cost = CostDashboard(self, "Cost", stage=self.stage, functions=functions, instance=database.instance)
        health = HealthDashboard(
            self,
            "Health",
            stage=self.stage,
            functions=functions,
            database=database,
            queue=self.queue,
            models={model_id: alias for model_id, (alias, _) in self.catalog.models.items()},
        )
        for id, name in (("CostDashboard", cost.name), ("HealthDashboard", health.name)):
            console = f"https://{self.region}.console.aws.amazon.com/cloudwatch/home?region={self.region}"
            CfnOutput(
                self, id, value=f"{console}#dashboards/dashboard/{name}", description="The address of a dashboard"
            )
