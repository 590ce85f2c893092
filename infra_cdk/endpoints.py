"""Private endpoints of AWS's services. Each has a security group and a policy, and both start with nothing allowed."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from aws_cdk import Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam

HTTPS: Final = 443


class Service(StrEnum):
    """A service that functions call. The value is the construct's id."""

    BEDROCK = "Bedrock"
    QUEUE = "Queue"
    SECRETS = "Secrets"
    STORAGE = "Storage"


INTERFACES: Final[Mapping[Service, ec2.InterfaceVpcEndpointAwsService]] = MappingProxyType(
    {
        Service.BEDROCK: ec2.InterfaceVpcEndpointAwsService.BEDROCK_RUNTIME,
        Service.QUEUE: ec2.InterfaceVpcEndpointAwsService.SQS,
        Service.SECRETS: ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
    }
)
# AWS's lists of the addresses of S3. A list's id is the same in every account. The CDK finds it only in an account, and
# templates are written without one. AWS refuses a deployment with a wrong id.
_S3_PREFIX_LISTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "eu-central-1": "pl-6ea54007",
        "eu-west-1": "pl-6da54004",
        "us-east-2": "pl-7ba54012",
        "us-west-2": "pl-68a54001",
    }
)


def s3_addresses(region: str) -> ec2.IPeer:
    """Return the addresses of S3 in `region`. Raise ValueError for a Region whose list is not in the table."""
    if region not in _S3_PREFIX_LISTS:
        raise ValueError(
            f"infra_cdk/endpoints.py needs the prefix list of S3 in {region}. Read it with: aws ec2 "
            f"describe-managed-prefix-lists --filters Name=prefix-list-name,Values=com.amazonaws.{region}.s3"
        )
    return ec2.Peer.prefix_list(_S3_PREFIX_LISTS[region])


class Endpoint:
    """One service in the network. `peer` is where its clients send to; `group` lets them in, where there is one."""

    def __init__(
        self,
        made: ec2.InterfaceVpcEndpoint | ec2.GatewayVpcEndpoint,
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
        if (known := (*actions, *resources)) in self._allowed:
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
