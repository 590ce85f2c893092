"""Only functions that ask models reach the internet, by `egress`, and only if a provider needs it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra_cdk import stage_catalog
from infra_cdk.entries import ENTRIES
from infra_cdk.stages import DEV, PROD, Egress
from shared.errors import ConfigurationError
from tests.infra.test_least_power import INSIDE, egress, group_of, ingress
from tests.infra.test_stages import WAYS_OUT
from tests.support.templates.assembly import synthesised
from tests.support.templates.catalogs import AWAY, BEDROCK, BOTH, CLOSED, PROFILE, alias, template_of, with_catalog
from tests.support.templates.template import Template, text

ASKERS = [entry for entry in INSIDE if entry.asks]
EVERYWHERE = {"nat": "0.0.0.0/0", "ipv6": "::/0"}
WAYS: list[Egress] = ["nat", "ipv6"]


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Template]:
    return {way: template_of(BOTH, tmp_path_factory.mktemp(way), way) for way in WAYS}


def routes(template: Template) -> dict[str, list[dict[str, Any]]]:
    """Return the routes of each subnet by its logical id."""
    tables = {
        text(one["SubnetId"]): text(one["RouteTableId"])
        for one in template.resources("AWS::EC2::SubnetRouteTableAssociation").values()
    }
    found = list(template.resources("AWS::EC2::Route").values())
    return {
        subnet: [route for route in found if text(route["RouteTableId"]) == table] for subnet, table in tables.items()
    }


def subnets(template: Template, name: str) -> list[str]:
    return [text(one) for one in template.functions()[name]["VpcConfig"]["SubnetIds"]]


@pytest.mark.parametrize("way", WAYS)
class TestEgress:
    def test_only_functions_that_ask_models_may_send_to_every_address(
        self, templates: dict[str, Template], way: str
    ) -> None:
        sent = {(source, target, port) for source, target, port in egress(templates[way]) if "/" in target}
        assert sent == {(group_of(templates[way], entry), EVERYWHERE[way], "443") for entry in ASKERS}

    def test_only_subnets_of_functions_that_ask_models_have_a_route_out(
        self, templates: dict[str, Template], way: str
    ) -> None:
        template = templates[way]
        lead_out = {subnet for subnet, found in routes(template).items() if found and "public" not in subnet}
        for entry in INSIDE:
            placed = set(subnets(template, entry.name))
            assert len(placed) == DEV.zones
            assert placed <= lead_out if entry.asks else not placed & lead_out
        (group,) = template.resources("AWS::RDS::DBSubnetGroup").values()
        assert not set(map(text, group["SubnetIds"])) & lead_out

    def test_no_group_accepts_connections_from_the_internet(self, templates: dict[str, Template], way: str) -> None:
        assert not [source for source, _, _ in ingress(templates[way]) if "/" in source]
        found = templates[way].resources("AWS::EC2::Subnet").values()
        assert not any(one.get("MapPublicIpOnLaunch") for one in found)

    def test_endpoints_are_in_subnets_without_a_route_out(self, templates: dict[str, Template], way: str) -> None:
        template = templates[way]
        isolated = {subnet for subnet, found in routes(template).items() if not found}
        for endpoint in template.resources("AWS::EC2::VPCEndpoint").values():
            assert set(map(text, endpoint.get("SubnetIds", []))) <= isolated
        tables = {
            text(one["RouteTableId"])
            for one in template.resources("AWS::EC2::SubnetRouteTableAssociation").values()
            if text(one["SubnetId"]) in isolated
        }
        (storage,) = [one for one in template.resources("AWS::EC2::VPCEndpoint").values() if "RouteTableIds" in one]
        assert set(map(text, storage["RouteTableIds"])) == tables


class TestNat:
    @pytest.mark.parametrize("stage", [CLOSED, PROD], ids=lambda stage: stage.name)
    def test_nat_has_one_gateway_in_each_endpoint_zone(self, stage: Any, tmp_path: Path) -> None:
        template = synthesised(with_catalog(BOTH, tmp_path, "nat", stage), tmp_path)
        assert len(template.resources("AWS::EC2::NatGateway")) == stage.endpoint_zones
        assert len(template.resources("AWS::EC2::EIP")) == stage.endpoint_zones
        for name in ("turns", "worker"):
            for subnet in subnets(template, name):
                (route,) = routes(template)[subnet]
                assert (route["DestinationCidrBlock"], "NatGatewayId" in route) == ("0.0.0.0/0", True)

    def test_nat_has_no_ipv6(self, templates: dict[str, Template]) -> None:
        assert "Ipv6" not in str(templates["nat"].resources("AWS::EC2::Subnet"))
        assert not templates["nat"].resources("AWS::EC2::EgressOnlyInternetGateway")


class TestIpv6:
    def test_ipv6_uses_only_an_egress_only_gateway(self, templates: dict[str, Template]) -> None:
        template = templates["ipv6"]
        kinds = {one["Type"] for one in template.body["Resources"].values()} & WAYS_OUT
        assert kinds == {"AWS::EC2::Route", "AWS::EC2::VPCCidrBlock", "AWS::EC2::EgressOnlyInternetGateway"}
        for route in template.resources("AWS::EC2::Route").values():
            assert (route["DestinationIpv6CidrBlock"], "EgressOnlyInternetGatewayId" in route) == ("::/0", True)

    def test_only_subnets_of_functions_that_ask_models_have_ipv6_addresses(
        self, templates: dict[str, Template]
    ) -> None:
        template = templates["ipv6"]
        dual = {
            name
            for name, one in template.functions().items()
            if one.get("VpcConfig", {}).get("Ipv6AllowedForDualStack")
        }
        assert dual == {entry.name for entry in ASKERS}
        addressed = {
            f"<{id_}>" for id_, one in template.resources("AWS::EC2::Subnet").items() if "Ipv6CidrBlock" in one
        }
        assert addressed == set(subnets(template, "turns"))
        blocks = [
            str(one["Ipv6CidrBlock"])
            for one in template.resources("AWS::EC2::Subnet").values()
            if "Ipv6CidrBlock" in one
        ]
        assert len(set(blocks)) == DEV.zones


def test_the_subnets_of_a_stage_keep_their_addresses_when_it_gets_egress(
    assembly: Any, templates: dict[str, Template]
) -> None:
    """CloudFormation would replace a subnet with other addresses, and the database in it."""
    before = assembly.templates["dev"].resources("AWS::EC2::Subnet")
    for template in templates.values():
        after = template.resources("AWS::EC2::Subnet")
        assert {id_: after[id_]["CidrBlock"] for id_ in before} == {
            id_: one["CidrBlock"] for id_, one in before.items()
        }


def test_port_in_the_address_of_a_provider_is_opened(tmp_path: Path) -> None:
    template = template_of(AWAY.replace(".org/", ".org:8443/"), tmp_path, "nat")
    sent = {(target, port) for _, target, port in egress(template) if "/" in target}
    assert sent == {("0.0.0.0/0", "8443")}


def test_a_provider_on_the_internet_needs_egress(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"\[providers.vendor\] is on the internet; stage dev needs egress"):
        stage_catalog.read(with_catalog(BOTH, tmp_path))


@pytest.mark.parametrize("way", WAYS)
def test_egress_without_a_provider_on_the_internet_is_refused(way: Egress, tmp_path: Path) -> None:
    stage = with_catalog(BEDROCK + alias("fast", "bedrock", PROFILE), tmp_path, way)
    with pytest.raises(ConfigurationError, match=f"stage dev needs egress 'none', not '{way}'"):
        stage_catalog.read(stage)


def test_unknown_egress_is_refused() -> None:
    with pytest.raises(ValueError, match="none, nat, ipv6"):
        replace(DEV, egress="vpn")  # type: ignore[arg-type]


def test_functions_outside_the_network_ask_no_model() -> None:
    assert [entry.name for entry in ENTRIES if entry.asks and not entry.in_network] == []
