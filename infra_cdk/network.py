"""The network: subnets without a way out, and a private way to each service of AWS that is needed.

The rule this file protects: nothing in here can reach the internet, and nothing out there can reach in.
"""

from typing import Final

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra_cdk.logs import Logs

HTTPS: Final = 443
POSTGRES: Final = 5432
_ENDPOINTS: Final = {
    "Bedrock": ec2.InterfaceVpcEndpointAwsService.BEDROCK_RUNTIME,
    "Queue": ec2.InterfaceVpcEndpointAwsService.SQS,
    "Secrets": ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
}


class Network(Construct):
    """`functions` is the security group of every function; what they reach is opened to it."""

    def __init__(self, scope: Construct, id: str, *, zones: int, endpoint_zones: int, logs: Logs) -> None:
        super().__init__(scope, id)
        isolated = ec2.SubnetConfiguration(name="isolated", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=22)
        self.vpc = ec2.Vpc(self, "Vpc", max_azs=zones, nat_gateways=0, subnet_configuration=[isolated])
        self.functions = self._group("Functions", "What the functions may reach")
        self._log_flows(logs)
        self._open_endpoints(endpoint_zones)

    def allow(self, source: ec2.SecurityGroup, target: ec2.SecurityGroup, port: int, why: str) -> None:
        """Open `port` from one group to another, on both sides."""
        source.add_egress_rule(target, ec2.Port.tcp(port), why)
        target.add_ingress_rule(source, ec2.Port.tcp(port), why)

    def group(self, scope: Construct, description: str) -> ec2.SecurityGroup:
        """A security group that lets nothing in and nothing out."""
        return ec2.SecurityGroup(scope, "Group", vpc=self.vpc, description=description, allow_all_outbound=False)

    def _group(self, id: str, description: str) -> ec2.SecurityGroup:
        return ec2.SecurityGroup(self, id, vpc=self.vpc, description=description, allow_all_outbound=False)

    def _open_endpoints(self, zones: int) -> None:
        group = self._group("Endpoints", "Private endpoints of services")
        self.allow(self.functions, group, HTTPS, "Functions to services")
        subnets = ec2.SubnetSelection(subnets=self.vpc.isolated_subnets[:zones])
        for name, service in _ENDPOINTS.items():
            ec2.InterfaceVpcEndpoint(
                self, name, vpc=self.vpc, service=service, subnets=subnets, security_groups=[group], open=False
            )
        # Free of charge, and the one way to the provider's log. Its addresses are a list that AWS keeps.
        self.vpc.add_gateway_endpoint("Storage", service=ec2.GatewayVpcEndpointAwsService.S3)
        self.functions.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(HTTPS), "S3, by its gateway endpoint")

    def _log_flows(self, logs: Logs) -> None:
        group = logs.group(self, "Flows")
        role = iam.Role(self, "FlowsRole", assumed_by=iam.ServicePrincipal("vpc-flow-logs.amazonaws.com"))
        destination = ec2.FlowLogDestination.to_cloud_watch_logs(group, role)
        # What was refused is worth keeping; the rest is the functions' own traffic.
        self.vpc.add_flow_log("Log", destination=destination, traffic_type=ec2.FlowLogTrafficType.REJECT)
