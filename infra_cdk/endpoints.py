"""Private endpoints of AWS's services. Each has a security group and a policy, and both start with nothing allowed."""

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
        """How AWS names it in an endpoint."""
        return _AWS_NAMES[self]

    @property
    def variable(self) -> str:
        """The variable by which AWS's libraries take another address for it."""
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
    """Return the addresses of S3 in `region`. Raise ValueError for a Region whose list is not known."""
    return ec2.Peer.prefix_list(s3_prefix_list(region, known))


def dual_stack_url(service: Service, region: str) -> str:
    """Return the address of a service that has IPv6. The usual one has IPv4 alone."""
    return f"https://{service.aws_name}.{region}.api.aws"


class Endpoint:
    """One service in the network. `peer` is where its clients send to; `group` lets them in, where there is one.
    Without `made`, the service is reached by an endpoint of the user's or over the internet."""

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
        """Open HTTPS from `source`, on both sides."""
        source.add_egress_rule(self._peer, ec2.Port.tcp(HTTPS), why)
        if self._group is not None:
            self._group.add_ingress_rule(source, ec2.Port.tcp(HTTPS), why)

    def allow(self, actions: Sequence[str], resources: Sequence[str], *, owned: bool) -> None:
        """Let principals of this account through for `actions` on `resources`.

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
