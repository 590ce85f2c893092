"""Make the route to the internet for functions that call models of a provider outside AWS.

These functions run in separate subnets. NAT gateways and egress-only internet gateways accept no connection from the
internet. A stage without `egress` has none of this.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from aws_cdk import Fn
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from infra_cdk.stages import Egress

SUBNETS: Final = "egress"
_EGRESS: Final = ec2.SubnetConfiguration(name=SUBNETS, subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS, cidr_mask=22)
# The subnets of the NAT gateways.
_PUBLIC: Final = ec2.SubnetConfiguration(
    name="public", subnet_type=ec2.SubnetType.PUBLIC, cidr_mask=28, map_public_ip_on_launch=False
)
_SUBNETS: Final[Mapping[Egress, tuple[ec2.SubnetConfiguration, ...]]] = MappingProxyType(
    {"none": (), "nat": (_EGRESS, _PUBLIC), "ipv6": (_EGRESS,)}
)
_ADDRESSES: Final[Mapping[Egress, ec2.IPeer]] = MappingProxyType(
    {"nat": ec2.Peer.any_ipv4(), "ipv6": ec2.Peer.any_ipv6()}
)
# AWS gives the network a /56 block. Each subnet gets a /64.
_SUBNET_BITS: Final = "64"


def subnets(egress: Egress) -> tuple[ec2.SubnetConfiguration, ...]:
    """Return the subnets after the isolated ones, so that existing subnets keep their addresses."""
    return _SUBNETS[egress]


def addresses(egress: Egress) -> ec2.IPeer:
    """Return all addresses that `egress` reaches."""
    return _ADDRESSES[egress]


def open_internet(egress: Egress, source: ec2.SecurityGroup, ports: Iterable[int]) -> None:
    """Let `source` send to every address of the internet."""
    for port in ports:
        source.add_egress_rule(addresses(egress), ec2.Port.tcp(port), "Providers on the internet")


class Ipv6(Construct):
    """An egress-only internet gateway and IPv6 addresses for its subnets. Both are free."""

    def __init__(self, scope: Construct, id: str, *, vpc: ec2.Vpc) -> None:
        super().__init__(scope, id)
        block = ec2.CfnVPCCidrBlock(self, "Block", vpc_id=vpc.vpc_id, amazon_provided_ipv6_cidr_block=True)
        gateway = ec2.CfnEgressOnlyInternetGateway(self, "Gateway", vpc_id=vpc.vpc_id)
        chosen = vpc.select_subnets(subnet_group_name=SUBNETS).subnets
        blocks = Fn.cidr(Fn.select(0, vpc.vpc_ipv6_cidr_blocks), len(chosen), _SUBNET_BITS)
        for number, subnet in enumerate(chosen):
            cfn = subnet.node.default_child
            assert isinstance(cfn, ec2.CfnSubnet)
            cfn.ipv6_cidr_block = Fn.select(number, blocks)
            cfn.add_resource_dependency(block)
            ec2.CfnRoute(
                self,
                f"Route{number}",
                route_table_id=subnet.route_table.route_table_id,
                destination_ipv6_cidr_block="::/0",
                egress_only_internet_gateway_id=gateway.attr_id,
            )
