"""Make the network: isolated subnets, and a private endpoint for each service of AWS that functions call.

If the stage has `egress` or lacks an endpoint, the functions that need the internet run in separate subnets with a
route to it. The internet cannot reach in. A security group starts without rules; `infra_cdk/rights.py` adds a rule
together with the right that needs it.
"""

from collections.abc import Iterable, Mapping, Set
from typing import Final

from aws_cdk import Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra_cdk import egress as internet
from infra_cdk.endpoints import INTERFACES, Endpoint, Service, dual_stack_url, s3_addresses
from infra_cdk.logs import Logs
from infra_cdk.places import ExistingVpc
from infra_cdk.stages import Stage

POSTGRES: Final = 5432
_ISOLATED: Final = "isolated"


class Network(Construct):
    """The VPC with its subnets and endpoints.

    Attributes:
        endpoints: the services that functions call.
        isolated: the subnets without a route to the internet.
        missing: the services without a private endpoint.
        out: how functions reach the internet.
    """

    def __init__(self, scope: Construct, id: str, *, stage: Stage, services: Set[Service], logs: Logs) -> None:
        super().__init__(scope, id)
        there = set(stage.vpc.endpoints) if stage.vpc else set()
        private = {*stage.endpoints, *there}
        self.missing = frozenset(name for name in INTERFACES if name in services and name.aws_name not in private)
        self.out = stage.egress if stage.egress != "none" or not self.missing else "ipv6"
        self._exists, self._s3_list = stage.vpc is not None, stage.s3_prefix_list
        self.vpc: ec2.IVpc = self._take(stage.vpc) if stage.vpc else self._make(stage, logs)
        self.isolated = ec2.SubnetSelection(subnet_group_name=_ISOLATED)
        made = {name for name in services - self.missing if name.aws_name not in there}
        here = [name for name in Service if name in services and name.aws_name in there]
        self.endpoints: Mapping[Service, Endpoint] = {
            **self._interfaces(stage.endpoint_zones, made),
            **{name: Endpoint(None, internet.addresses(self.out)) for name in self.missing},
            **{name: Endpoint(None, self._address_of(name)) for name in here},
            **({Service.STORAGE: self._storage()} if Service.STORAGE in made else {}),
        }

    def _make(self, stage: Stage, logs: Logs) -> ec2.Vpc:
        isolated = ec2.SubnetConfiguration(name=_ISOLATED, subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=22)
        vpc = ec2.Vpc(
            self,
            "Vpc",
            max_azs=stage.zones,
            # One in each endpoint zone. Subnets of other zones route to one of these.
            nat_gateways=stage.endpoint_zones if self.out == "nat" else 0,
            create_internet_gateway=self.out == "nat",
            subnet_configuration=[isolated, *internet.subnets(self.out)],
        )
        if self.out == "ipv6":
            internet.Ipv6(self, "Ipv6", vpc=vpc)
        self._log_flows(vpc, logs)
        return vpc

    def _take(self, known: ExistingVpc) -> ec2.IVpc:
        """Describe an existing VPC without a look-up, because a template is written without an account."""
        return ec2.Vpc.from_vpc_attributes(
            self,
            "Vpc",
            vpc_id=known.id,
            vpc_cidr_block=known.cidr,
            availability_zones=list(known.zones),
            isolated_subnet_ids=list(known.subnets),
            isolated_subnet_names=[_ISOLATED],
            isolated_subnet_route_table_ids=list(known.route_tables),
        )

    def _address_of(self, service: Service) -> ec2.IPeer:
        """Return the addresses of an endpoint of the user's VPC, because its security group is unknown."""
        if service is Service.STORAGE:
            return s3_addresses(Stack.of(self).region, self._s3_list)
        return ec2.Peer.ipv4(self.vpc.vpc_cidr_block)

    def leads_out(self, services: Set[Service]) -> bool:
        """Return whether functions reach one of `services` over the internet."""
        return bool(self.missing & services)

    def addresses(self, services: Set[Service]) -> dict[str, str]:
        """Return the environment variables by which AWS's libraries reach `services` over IPv6."""
        if self.out != "ipv6":
            return {}
        region = Stack.of(self).region
        return {name.variable: dual_stack_url(name, region) for name in sorted(self.missing & services)}

    def allow(self, source: ec2.SecurityGroup, target: ec2.SecurityGroup, port: int, why: str) -> None:
        """Open `port` from one group to another, in both groups."""
        source.add_egress_rule(target, ec2.Port.tcp(port), why)
        target.add_ingress_rule(source, ec2.Port.tcp(port), why)

    def group(self, scope: Construct, description: str, id: str = "Group") -> ec2.SecurityGroup:
        """Make a security group without rules."""
        return ec2.SecurityGroup(scope, id, vpc=self.vpc, description=description, allow_all_outbound=False)

    def subnets(self, *, away: bool) -> ec2.SubnetSelection:
        """Return the subnets of a function. An existing VPC has only its own subnets, whose routes the user sets."""
        leads_out = away and self.out != "none" and not self._exists
        return ec2.SubnetSelection(subnet_group_name=internet.SUBNETS) if leads_out else self.isolated

    def open_internet(self, source: ec2.SecurityGroup, ports: Iterable[int]) -> None:
        """Let `source` send to every address at `ports`."""
        internet.open_internet(self.out, source, ports)

    def _interfaces(self, zones: int, services: Set[Service]) -> Mapping[Service, Endpoint]:
        # Functions of the release before reach the endpoints by this group until traffic has moved. The template has
        # its rule no longer, and CloudFormation deletes the rule after traffic has moved.
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
        """Make the gateway endpoint of S3, which is free and has no security group."""
        gateway = self.vpc.add_gateway_endpoint(
            Service.STORAGE, service=ec2.GatewayVpcEndpointAwsService.S3, subnets=[self.isolated]
        )
        return Endpoint(gateway, s3_addresses(Stack.of(self).region, self._s3_list))

    def _log_flows(self, vpc: ec2.Vpc, logs: Logs) -> None:
        group = logs.group(self, "Flows")
        role = iam.Role(self, "FlowsRole", assumed_by=iam.ServicePrincipal("vpc-flow-logs.amazonaws.com"))
        destination = ec2.FlowLogDestination.to_cloud_watch_logs(group, role)
        # Log only rejected packets. The rest is the functions' own traffic.
        vpc.add_flow_log("Log", destination=destination, traffic_type=ec2.FlowLogTrafficType.REJECT)
