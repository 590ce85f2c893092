"""Grant every right of every function, except the rights to run and to write its log.

A right on a service includes the route: the function's role, the endpoint's policy and both security groups. A function
without a right on a service cannot reach it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aws_cdk import Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam

from infra_cdk.account_stack import LOG_PREFIX, log_bucket_name
from infra_cdk.database import Database
from infra_cdk.endpoints import Service
from infra_cdk.entries import MIGRATE, Entry
from infra_cdk.function import Function
from infra_cdk.issuer_keys import IssuerKeys
from infra_cdk.network import POSTGRES, Network
from infra_cdk.queue import Queue
from infra_cdk.stage_catalog import StageCatalog

ASK_MODEL: Final = "bedrock:InvokeModel"
# The right to stream an answer. Only functions that serve HTTP stream.
STREAM_MODEL: Final = "bedrock:InvokeModelWithResponseStream"


def services(entry: Entry, catalog: StageCatalog) -> set[Service]:
    """Return the services that a function calls."""
    needs = {
        Service.BEDROCK: entry.asks and bool(catalog.models),
        Service.QUEUE: entry.sends or entry.runs_graphs,
        Service.SECRETS: entry is MIGRATE or (entry.asks and bool(catalog.secrets)),
        Service.STORAGE: entry.reads_keys or entry.writes_keys or (entry.reads_log and bool(catalog.models)),
    }
    return {service for service, needed in needs.items() if needed}


@dataclass(frozen=True)
class Rights:
    """The resources that functions may have rights on."""

    network: Network
    database: Database
    queue: Queue
    issuer_keys: IssuerKeys
    catalog: StageCatalog
    graphs_queue: Queue | None = None

    def grant(self, function: Function) -> None:
        """Grant `function` the rights of its entry."""
        entry = function.entry
        if entry.role is not None:
            self.database.grant_connect(function.role, entry.role)
            self.network.allow(_group(function), self.database.entrance, POSTGRES, "The database")
        if entry is MIGRATE:
            self._allow(function, Service.SECRETS, "secretsmanager:GetSecretValue", self.database.secret_arn)
            # The owner bypasses the proxy, which has no IAM token for the owner.
            self.network.allow(_group(function), self.database.group, POSTGRES, "The database itself")
        if entry.sends:
            self._allow(function, Service.QUEUE, "sqs:SendMessage", self.queue.queue.queue_arn)
        if entry.sends_graphs and self.graphs_queue is not None:
            self._allow(function, Service.QUEUE, "sqs:SendMessage", self.graphs_queue.queue.queue_arn)
        if entry.asks:
            self._allow_models(function)
        if entry.reads_log and self.catalog.models:
            self._allow_log(function)
        if entry.writes_keys:
            self._allow(function, Service.STORAGE, "s3:PutObject", self.issuer_keys.arn)
        if entry.reads_keys:
            self._allow(function, Service.STORAGE, "s3:GetObject", self.issuer_keys.arn)

    def _allow_log(self, function: Function) -> None:
        stack = Stack.of(function)
        bucket = f"arn:{stack.partition}:s3:::{log_bucket_name(stack)}"
        below = {"StringLike": {"s3:prefix": f"{LOG_PREFIX}*"}}
        self._allow(function, Service.STORAGE, "s3:ListBucket", bucket, below)
        self._allow(function, Service.STORAGE, "s3:GetObject", f"{bucket}/{LOG_PREFIX}*")

    def _allow_models(self, function: Function) -> None:
        """Allow the catalog's models on Bedrock, its secrets, and its providers on the internet."""
        stack = Stack.of(function)
        both = (ASK_MODEL, STREAM_MODEL)
        actions = both if function.entry.serves else (ASK_MODEL,)
        for _, model in self.catalog.models.values():
            for resource, conditions in model.needs(stack):
                self._allow(function, Service.BEDROCK, actions, resource, conditions, through=both)
        for arn in self.catalog.secret_arns(stack):
            self._allow(function, Service.SECRETS, "secretsmanager:GetSecretValue", arn)
        if self.catalog.ports:
            self.network.open_internet(_group(function), self.catalog.ports)

    def _allow(
        self,
        function: Function,
        service: Service,
        actions: str | Sequence[str],
        resource: str,
        conditions: Mapping[str, object] | None = None,
        through: Sequence[str] = (),
    ) -> None:
        """Grant `actions` on `resource`, and open the route to the service if the function is in the network.

        The endpoint's policy allows `through`, or else `actions`. All functions share the policy, because its
        size is limited."""
        named = [actions] if isinstance(actions, str) else list(actions)
        statement = iam.PolicyStatement(actions=named, resources=[resource], conditions=conditions)
        function.role.add_to_policy(statement)
        if function.group is not None:
            endpoint = self.network.endpoints[service]
            endpoint.let_in(function.group, f"The endpoint {service}")
            endpoint.allow(through or named, [resource], owned=service is not Service.BEDROCK)


def _group(function: Function) -> ec2.SecurityGroup:
    if function.group is None:
        raise ValueError(f"The function {function.entry.name} is not in the network, and must be.")
    return function.group
