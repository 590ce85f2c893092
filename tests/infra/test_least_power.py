"""Network, endpoint policies and environments allow exactly the needs of each function."""

import re
from typing import Any

import pytest

from infra_cdk.endpoints import INTERFACES, Service, s3_addresses
from infra_cdk.entries import ENTRIES, MIGRATE, Entry
from infra_cdk.stage import ALL_REACHED
from infra_cdk.stages import Stage
from shared.names import Env
from tests.support.templates.template import Properties, Template, listed, text

INSIDE = [entry for entry in ENTRIES if entry.in_network]
SERVICES = {"bedrock-runtime": Service.BEDROCK, "sqs": Service.QUEUE, "secretsmanager": Service.SECRETS}
HTTPS, DATABASE = "443", "5432"
S3 = "pl-6ea54007"
EVERYWHERE = "::/0"
OURS = {"aws:PrincipalAccount": "<AWS::AccountId>", "aws:ResourceAccount": "<AWS::AccountId>"}
Way = tuple[str, str, str]


def group_of(template: Template, entry: Entry) -> str:
    (group,) = template.functions()[entry.name]["VpcConfig"]["SecurityGroupIds"]
    return text(group)


def database_group(template: Template) -> str:
    (group,) = template.one("AWS::RDS::DBInstance")["VPCSecurityGroups"]
    return text(group)


def entrance(template: Template) -> str:
    """Return the security group that functions connect to: the proxy's, or the database's."""
    groups = [
        text(group) for one in template.resources("AWS::RDS::DBProxy").values() for group in one["VpcSecurityGroupIds"]
    ]
    return groups[0] if groups else database_group(template)


def endpoints(template: Template) -> dict[str, Properties]:
    """Return endpoints by the last part of the service's name."""
    found = template.resources("AWS::EC2::VPCEndpoint").values()
    return {text(one["ServiceName"]).rpartition(".")[2]: one for one in found}


def service_group(template: Template, service: str) -> str:
    """Return the group of a service's endpoint, or every IPv6 address without an endpoint."""
    if service not in endpoints(template):
        return EVERYWHERE
    return text(endpoints(template)[service]["SecurityGroupIds"][0])


def egress(template: Template) -> set[Way]:
    """Return each egress rule (source, target, port), also those inside their group."""
    rules = [(text(r["GroupId"]), r) for r in template.resources("AWS::EC2::SecurityGroupEgress").values()]
    for id_, group in template.resources("AWS::EC2::SecurityGroup").items():
        rules += [(f"<{id_}.GroupId>", rule) for rule in group.get("SecurityGroupEgress", [])]
    # The CDK writes a rule for an unused address into a group without rules, because AWS would allow everything.
    return {
        (source, _target(rule), text(rule["ToPort"]))
        for source, rule in rules
        if rule.get("CidrIp") != "255.255.255.255/32"
    }


def ingress(template: Template) -> set[Way]:
    assert not any("SecurityGroupIngress" in one for one in template.resources("AWS::EC2::SecurityGroup").values())
    rules = template.resources("AWS::EC2::SecurityGroupIngress").values()
    return {(text(r["SourceSecurityGroupId"]), text(r["GroupId"]), text(r["ToPort"])) for r in rules}


def _target(rule: Properties) -> str:
    for name in ("DestinationSecurityGroupId", "DestinationPrefixListId", "CidrIp", "CidrIpv6"):
        if name in rule:
            return text(rule[name])
    raise AssertionError(rule)


def needed(template: Template, entry: Entry) -> set[tuple[str, str]]:
    """Return the targets that a function must reach by its entry."""
    ways = {(entrance(template), DATABASE)} if entry.role is not None else set()
    if entry is MIGRATE:
        ways |= {(database_group(template), DATABASE), (service_group(template, "secretsmanager"), HTTPS)}
    if entry.asks:
        ways.add((service_group(template, "bedrock-runtime"), HTTPS))
    if entry.sends:
        ways.add((service_group(template, "sqs"), HTTPS))
    if entry.reads_keys or entry.reads_log:
        ways.add((S3, HTTPS))
    return ways


class TestGroups:
    @pytest.mark.parametrize("entry", INSIDE, ids=lambda entry: entry.name)
    def test_group_of_a_function_allows_only_the_destinations_of_its_entry(
        self, template: Template, entry: Entry
    ) -> None:
        group = group_of(template, entry)
        assert {(target, port) for source, target, port in egress(template) if source == group} == needed(
            template, entry
        )

    def test_function_has_its_own_security_group(self, template: Template) -> None:
        assert len({group_of(template, entry) for entry in INSIDE}) == len(INSIDE)

    def test_group_accepts_exactly_the_functions_that_need_it(self, template: Template) -> None:
        functions = {
            (group_of(template, entry), target, port)
            for entry in INSIDE
            for target, port in needed(template, entry)
            if target not in (S3, EVERYWHERE)
        }
        inside = {(s, t, p) for s, t, p in ingress(template) if s != entrance(template)}
        assert inside == functions

    def test_only_the_proxy_and_the_migration_reach_the_database(self, template: Template, stage: Stage) -> None:
        if not stage.proxy:
            return
        sources = {source for source, target, _ in ingress(template) if target == database_group(template)}
        assert sources == {entrance(template), group_of(template, MIGRATE)}

    def test_no_group_sends_to_an_address_when_each_service_has_an_endpoint(
        self, template: Template, stage: Stage
    ) -> None:
        sent = {target for _, target, _ in egress(template) if not target.startswith("<")}
        assert sent == {S3} | (set() if stage.endpoints == ALL_REACHED else {EVERYWHERE})

    def test_group_of_the_release_before_accepts_no_connections(self, template: Template) -> None:
        """Endpoints keep the group, because functions of the release before serve until traffic has moved."""
        (before,) = {text(one["SecurityGroupIds"][1]) for name, one in endpoints(template).items() if name in SERVICES}
        assert before == "<NetworkEndpointsF8B8492F.GroupId>"
        assert not [way for way in ingress(template) | egress(template) if before in way]

    def test_functions_are_invoked_after_their_network_rules_exist(self, template: Template) -> None:
        """The trigger of the migration runs before all aliases."""
        rules = {
            *template.resources("AWS::EC2::SecurityGroupEgress"),
            *template.resources("AWS::EC2::SecurityGroupIngress"),
        }
        (trigger,) = [one for id_, one in template.all("Custom::Trigger").items() if id_.startswith("Migration")]
        assert rules <= set(trigger["DependsOn"])


def allowed(endpoint: Properties) -> list[dict[str, Any]]:
    """Return the statements of an endpoint's policy. An endpoint without a policy allows everything."""
    statements: list[dict[str, Any]] = endpoint["PolicyDocument"]["Statement"]
    return statements


class TestEndpointPolicies:
    def test_endpoint_serves_only_this_account(self, template: Template) -> None:
        for name, endpoint in endpoints(template).items():
            for one in allowed(endpoint):
                found = {key: text(value) for key, value in one["Condition"]["StringEquals"].items()}
                expected = dict(OURS)
                if name == "bedrock-runtime":
                    # Models belong to AWS.
                    del expected["aws:ResourceAccount"]
                assert found == expected
                assert one["Effect"] == "Allow"

    def test_endpoint_allows_only_the_rights_of_functions(self, template: Template) -> None:
        prefixes = {
            "bedrock-runtime": "bedrock:",
            "sqs": "sqs:Send",
            "secretsmanager": "secretsmanager:",
            "s3": "s3:Get,s3:List",
        }
        owners = {f"{entry.title}Role" for entry in INSIDE}
        for name, endpoint in endpoints(template).items():
            granted = {
                (action, resource)
                for one in template.statements()
                if one.owner in owners and one.effect == "Allow"
                for action in one.actions
                if action.startswith(tuple(prefixes[name].split(",")))
                for resource in one.resources
            }
            through = {
                (a, text(r))
                for one in allowed(endpoint)
                for a in listed(one["Action"])
                for r in listed(one["Resource"])
            }
            assert through == granted
            assert granted

    def test_endpoint_policy_has_no_statement_for_every_action_or_resource(self, template: Template) -> None:
        for endpoint in endpoints(template).values():
            for one in allowed(endpoint):
                assert all("*" not in action for action in listed(one["Action"]))
                assert "*" not in listed(one["Resource"])

    def test_interface_endpoint_has_a_policy(self, template: Template, stage: Stage) -> None:
        assert set(endpoints(template)) == {*stage.endpoints, "s3"}
        assert set(SERVICES.values()) == set(INTERFACES)


def strings(value: Any) -> list[str]:
    """Yield every string and every key in a value of a template."""
    match value:
        case dict():
            return [found for key, part in value.items() for found in (str(key), *strings(part))]
        case list():
            return [found for part in value for found in strings(part)]
    return [str(value)]


class TestEnvironments:
    def test_environment_of_a_function_holds_no_secret(
        self, template: Template, account: Template, stage: Stage
    ) -> None:
        functions = [f for t in (template, account) for f in t.resources("AWS::Lambda::Function").values()]
        # The CDK's own functions: triggers, settings of the account, and the emptying of a bucket.
        assert len(functions) == len(ENTRIES) + 2 + int(not stage.protected)
        for function in functions:
            found = strings(function.get("Environment", {}))
            assert not [one for one in found if "{{resolve:" in one]
            # A user with a password in a URL.
            assert not [one for one in found if re.search(r"//[^/@\s]*:[^/@\s]*@", one)]

    def test_template_names_the_owners_secret_without_reading_it(self, template: Template) -> None:
        holders = {
            (function, name)
            for function, properties in template.functions().items()
            for name, value in properties["Environment"]["Variables"].items()
            if "Secret" in str(value)
        }
        assert holders == {(MIGRATE.name, Env.OWNER_SECRET_ARN)}
        assert "{{resolve:" not in str(template.body)

    def test_stage_does_not_have_the_key_of_another_provider(self, template: Template) -> None:
        told = {name for function in template.functions().values() for name in function["Environment"]["Variables"]}
        assert Env.LLM_API_KEY not in told
        assert Env.LLM_BASE_URL not in told


def test_region_without_a_known_prefix_list_is_refused() -> None:
    with pytest.raises(ValueError, match="describe-managed-prefix-lists"):
        s3_addresses("mars-north-1")
