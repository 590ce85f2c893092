"""Define private endpoints of AWS's services. Their security groups and policies allow nothing at first."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from aws_cdk import Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam

from infra_cdk.places import s3_prefix_list

HTTPS: Final = 443


class Service(StrEnum):
    """A service that functions call. The value is the construct's id."""

    BEDROCK = "Bedrock"
    QUEUE = "Queue"
    SECRETS = "Secrets"
    STORAGE = "Storage"

    @property
    def aws_name(self) -> str:
        """Return AWS's name of the service in an endpoint."""
        return _AWS_NAMES[self]

    @property
    def variable(self) -> str:
        """Return the environment variable that gives AWS's libraries another address."""
        return f"AWS_ENDPOINT_URL_{_VARIABLES[self]}"


INTERFACES: Final[Mapping[Service, ec2.InterfaceVpcEndpointAwsService]] = MappingProxyType(
    {
        Service.BEDROCK: ec2.InterfaceVpcEndpointAwsService.BEDROCK_RUNTIME,
        Service.QUEUE: ec2.InterfaceVpcEndpointAwsService.SQS,
        Service.SECRETS: ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
    }
)
_AWS_NAMES: Final[Mapping[Service, str]] = MappingProxyType(
    {
        Service.BEDROCK: "bedrock-runtime",
        Service.QUEUE: "sqs",
        Service.SECRETS: "secretsmanager",
        Service.STORAGE: "s3",
    }
)
_VARIABLES: Final[Mapping[Service, str]] = MappingProxyType(
    {Service.BEDROCK: "BEDROCK_RUNTIME", Service.QUEUE: "SQS", Service.SECRETS: "SECRETS_MANAGER"}
)


def s3_addresses(region: str, known: str | None = None) -> ec2.IPeer:
    """Return the addresses of S3 in `region`. Raise ValueError if the Region's list is unknown."""
    return ec2.Peer.prefix_list(s3_prefix_list(region, known))


def dual_stack_url(service: Service, region: str) -> str:
    """Return a service's address with IPv6. Its usual address has only IPv4."""
    return f"https://{service.aws_name}.{region}.api.aws"


class Endpoint:
    """A service as functions reach it. Clients send to `peer`, and `group` admits them if there is one.

    Without `made`, functions use an endpoint of the user's VPC, or the internet."""

    def __init__(
        self,
        made: ec2.InterfaceVpcEndpoint | ec2.GatewayVpcEndpoint | None,
        peer: ec2.IPeer,
        group: ec2.SecurityGroup | None = None,
    ) -> None:
        self._made = made
        self._peer = peer
        self._group = group
        self._allowed: set[tuple[str, ...]] = set()

    def let_in(self, source: ec2.SecurityGroup, why: str) -> None:
        """Open HTTPS from `source` to the endpoint in both security groups."""
        source.add_egress_rule(self._peer, ec2.Port.tcp(HTTPS), why)
        if self._group is not None:
            self._group.add_ingress_rule(source, ec2.Port.tcp(HTTPS), why)

    def allow(self, actions: Sequence[str], resources: Sequence[str], *, owned: bool) -> None:
        """Allow principals of this account `actions` on `resources` in the endpoint's policy.

        Args:
            owned: whether the resources must belong to this account. AWS owns the models of Bedrock.
        """
        if self._made is None or (known := (*actions, *resources)) in self._allowed:
            return
        self._allowed.add(known)
        account = Stack.of(self._made).account
        conditions = {"aws:PrincipalAccount": account} | ({"aws:ResourceAccount": account} if owned else {})
        self._made.add_to_policy(
            iam.PolicyStatement(
                principals=[iam.AnyPrincipal()],
                actions=list(actions),
                resources=list(resources),
                conditions={"StringEquals": conditions},
            )
        )
