"""The network: subnets without a way out, and a private way to each service of AWS that is needed.

Nothing in here reaches the internet unless the stage has `egress`: then functions that ask models do, from subnets of
their own. Nothing from the internet reaches in. A security group starts without rules;
`infra_cdk/rights.py` opens each way together with the right that needs it.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from aws_cdk import Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra_cdk import egress as internet
from infra_cdk.endpoints import INTERFACES, Endpoint, Service, s3_addresses
from infra_cdk.logs import Logs
from infra_cdk.stages import Egress, Stage

POSTGRES: Final = 5432
_ISOLATED: Final = "isolated"


class Network(Construct):
    """`endpoints` are the services that functions call, `isolated` the subnets without a way to the internet."""

    def __init__(self, scope: Construct, id: str, *, stage: Stage, services: Collection[Service], logs: Logs) -> None:
        super().__init__(scope, id)
        self.egress: Egress = stage.egress
        isolated = ec2.SubnetConfiguration(name=_ISOLATED, subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=22)
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            max_azs=stage.zones,
            # One for each zone that has endpoints. Subnets of other zones lead to one of these.
            nat_gateways=stage.endpoint_zones if self.egress == "nat" else 0,
            create_internet_gateway=self.egress == "nat",
            subnet_configuration=[isolated, *internet.subnets(self.egress)],
        )
        self.isolated = ec2.SubnetSelection(subnet_group_name=_ISOLATED)
        if self.egress == "ipv6":
            internet.Ipv6(self, "Ipv6", vpc=self.vpc)
        self._log_flows(logs)
        self.endpoints: Mapping[Service, Endpoint] = {
            **self._interfaces(stage.endpoint_zones, services),
            Service.STORAGE: self._storage(),
        }

    def allow(self, source: ec2.SecurityGroup, target: ec2.SecurityGroup, port: int, why: str) -> None:
        """Open `port` from one group to another, on both sides."""
        source.add_egress_rule(target, ec2.Port.tcp(port), why)
        target.add_ingress_rule(source, ec2.Port.tcp(port), why)

    def group(self, scope: Construct, description: str, id: str = "Group") -> ec2.SecurityGroup:
        """Make a security group that lets nothing in and nothing out."""
        return ec2.SecurityGroup(scope, id, vpc=self.vpc, description=description, allow_all_outbound=False)

    def subnets(self, *, asks: bool) -> ec2.SubnetSelection:
        """Say where a function runs."""
        return ec2.SubnetSelection(subnet_group_name=internet.SUBNETS) if asks and self.has_egress else self.isolated

    @property
    def has_egress(self) -> bool:
        return self.egress != "none"

    def open_internet(self, source: ec2.SecurityGroup, ports: Iterable[int]) -> None:
        """Let `source` out to every address, at `ports`."""
        internet.open_internet(self.egress, source, ports)

    def _interfaces(self, zones: int, services: Collection[Service]) -> Mapping[Service, Endpoint]:
        # Functions of the release before reach the endpoints by this group until all traffic has been shifted. Its rule
        # is not in the template any more. CloudFormation deletes the rule after the shift.
        before = self.group(self, "Private endpoints of services", "Endpoints")
        subnets = ec2.SubnetSelection(subnets=self.vpc.isolated_subnets[:zones])
        made = {}
        for name in (name for name in INTERFACES if name in services):
            group = self.group(self, f"The endpoint {name}", f"{name}Group")
            endpoint = ec2.InterfaceVpcEndpoint(
                self,
                name,
                vpc=self.vpc,
                service=INTERFACES[name],
                subnets=subnets,
                security_groups=[group, before],
                open=False,
            )
            made[name] = Endpoint(endpoint, group, group)
        return made

    def _storage(self) -> Endpoint:
        """Lead to S3 by its gateway, which is free of charge and has no security group."""
        gateway = self.vpc.add_gateway_endpoint(
            Service.STORAGE, service=ec2.GatewayVpcEndpointAwsService.S3, subnets=[self.isolated]
        )
        return Endpoint(gateway, s3_addresses(Stack.of(self).region))

    def _log_flows(self, logs: Logs) -> None:
        group = logs.group(self, "Flows")
        role = iam.Role(self, "FlowsRole", assumed_by=iam.ServicePrincipal("vpc-flow-logs.amazonaws.com"))
        destination = ec2.FlowLogDestination.to_cloud_watch_logs(group, role)
        # What was refused is worth keeping; the rest is the functions' own traffic.
        self.vpc.add_flow_log("Log", destination=destination, traffic_type=ec2.FlowLogTrafficType.REJECT)
