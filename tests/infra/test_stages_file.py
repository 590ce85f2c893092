"""stages.toml defines stages. A mistake in it is one line before anything is made."""

import os
import subprocess
import sys
from dataclasses import fields
from decimal import Decimal
from pathlib import Path

import pytest

from infra_cdk import authorities, stages_file
from infra_cdk.console_client import ConsoleClient
from infra_cdk.places import Awake
from infra_cdk.stages import DEV, STAGES, Stage
from infra_cdk.stages_file import load
from shared.errors import ConfigurationError
from tests.support.templates.assembly import synthesised
from tests.support.templates.template import Template, text

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "infra_cdk" / "examples").glob("*.toml"))
VPC = """
[stages.x.vpc]
id = "vpc-0a000000"
cidr = "10.0.0.0/16"
zones = ["eu-central-1a", "eu-central-1b"]
subnets = ["subnet-0a000000", "subnet-0b000000"]
route_tables = ["rtb-0a000000", "rtb-0b000000"]
"""
AWAKE = '[stages.x.awake]\nstart = "07:00"\nstop = "20:00"\n'
CONSOLE = '[stages.x.console_client]\nclient_id = "council"\n'
ISSUER = 'issuer = "https://login.example.org"\naudience = "council"\n'
X = '[stages.x]\nkind = "dev"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "stages.toml"


def refused(file: Path, content: str) -> str:
    file.write_text(content)
    with pytest.raises(ConfigurationError) as error:
        load(file)
    said = str(error.value)
    assert "\n" not in said
    return said.removeprefix(f"{file}: ")


def example(path: Path, folder: Path) -> tuple[Stage, Template]:
    """Return the stage of an example and its template, which cdk-nag has checked."""
    (stage,) = [one for name, one in load(path).items() if name not in STAGES]
    return stage, synthesised(stage, folder, checked=True)


def test_stages_are_the_built_in_kinds_without_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(stages_file.VARIABLE, raising=False)
    monkeypatch.setattr(stages_file, "DEFAULT", tmp_path / "none.toml")
    assert load() == STAGES


def test_the_default_file_is_read_when_it_is_there(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    monkeypatch.delenv(stages_file.VARIABLE, raising=False)
    monkeypatch.setattr(stages_file, "DEFAULT", file)
    file.write_text("[stages.dev]\nzones = 3\n")
    assert load()["dev"].zones == 3
    assert load()["prod"] == STAGES["prod"]


def test_missing_file_of_the_variable_is_refused(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    monkeypatch.setenv(stages_file.VARIABLE, str(file))
    with pytest.raises(ConfigurationError, match="No such file"):
        load()


def test_a_stage_has_the_values_of_its_kind_and_its_own(file: Path) -> None:
    file.write_text(
        f'{X}turn_usd = "1.5"\ndefault_cap_usd = 10\nreserved = {{ api = 2 }}\ncors_origins = []\n{AWAKE}{VPC}'
        "[stages.x.settings]\nturn_seconds = 60\nmax_call_s = 12.5\n"
    )
    stage = load(file)["x"]
    assert (stage.name, stage.instance_type) == ("x", DEV.instance_type)
    assert (stage.turn_usd, stage.default_cap_usd) == (Decimal("1.5"), Decimal(10))
    assert (dict(stage.reserved), stage.cors_origins) == ({"api": 2}, ())
    assert stage.awake == Awake("07:00", "20:00")
    assert stage.vpc is not None
    assert stage.vpc.subnets == ("subnet-0a000000", "subnet-0b000000")
    assert (stage.turn_seconds, stage.turns_seconds) == (60, 120)
    assert dict(stage.settings)["max_call_s"] in (12.5, "12.5")


def test_stage_has_the_client_of_the_console_at_its_issuer(file: Path) -> None:
    file.write_text(f'{X}{ISSUER}{CONSOLE}token_endpoint = "https://token.example.org/"\n')
    assert load(file)["x"].console_client == ConsoleClient("council", token_endpoint="https://token.example.org/")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[stages.dev]\nzonse = 3\n", "[stages.dev] zonse is not known; did you mean zones?"),
        ("[stages.dev]\nqqqqq = 3\n", "[stages.dev] qqqqq is not known; `make stages` prints the keys"),
        (f"{X}{VPC}subnet = 1\n", "[stages.x] vpc.subnet is not known; did you mean subnets?"),
        ("[stages.x]\nzones = 3\n", "[stages.x] kind must be one of dev, staging, prod"),
        (f'{X}zones = "3"\n', "[stages.x] zones must be a valid integer"),
        (f"{X}zones = true\n", "[stages.x] zones must be a valid integer"),
        (f'{X}name = "y"\n', "[stages.x] name is not known"),
        ("[stages]\nx = 1\n", "[stages.x] must be a table"),
        ("[stage.x]\n", "[stage] is no table of a stages file; there is [stages.NAME]"),
        ("", "[stages.NAME] is missing; a stages file has at least one"),
        ("[stages.x\n", "Expected"),
        ('[stages.x-y]\nkind = "dev"\n', "[stages.x-y] 'x-y' names no stage and no copy"),
        ('[stages.account]\nkind = "dev"\n', "[stages.account] 'account' names no stage"),
        (f'{X}copy_name = "ourcognito"\n', "[stages.x] 'ourcognito' names no stage and no copy: Cognito refuses"),
        (f'{X}copy_name = "a-b"\n', "[stages.x] 'a-b' names no stage and no copy"),
        (f'{X}account = "12"\n', "[stages.x] Stage x needs an account of 12 digits"),
        (f'{X}domain = "a.example.org"\n', "[stages.x] Stage x needs both domain and certificate_arn, or neither."),
        (f'{X}issuer = "https://a.example.org"\n', "[stages.x] Stage x needs both issuer and audience, or neither."),
        (f"{X}{CONSOLE}", "[stages.x] the console's tokens name its client, which must be the audience."),
        (f"{X}{ISSUER}{CONSOLE}scopes = 1\n", "[stages.x] console_client.scopes is not known; did you mean scope?"),
        (
            f'{X}{ISSUER}{CONSOLE}token_endpoint = "http://token.example.org"\n',
            "[stages.x] console_client.token_endpoint must match pattern",
        ),
        (f"{X}settings = {{ console_scope = 'a' }}\n", "[stages.x] settings.console_scope is the field console_client"),
        (f'{X}metrics = "some"\n', "[stages.x] metrics must be 'all' or 'alarms'"),
        (f'{X}endpoints = ["s3"]\n', "[stages.x] endpoints.0 must be 'bedrock-runtime', 'secretsmanager' or 'sqs'"),
        (f"{X}endpoint_zones = 3\n", "[stages.x] Stage x has 2 zones and needs endpoint_zones from 1 to that."),
        (f'{X}proxy_name = "Proxy"\n', "[stages.x] Stage x has a proxy_name and no proxy."),
        (f'{X}region = "mars-north-1"\n', "[stages.x] s3_prefix_list must be the id of the list"),
        (
            f"{X}default_cap_usd = 200\n",
            "[stages.x] Stage x needs a default_cap_usd above 0 and at most its budget_usd",
        ),
        (f"{X}turn_burst = 100\n", "[stages.x] Stage x lets 114 turns run at once beside 20 other invocations"),
        (f"{X}{VPC}".replace("vpc-0a000000", "vpc-0a"), "[stages.x] vpc.id has 'vpc-0a', which is no id of AWS."),
        (f"{X}{VPC}".replace("/16", "/99"), "[stages.x] vpc.cidr '10.0.0.0/99' is no IPv4 network."),
        (
            f"{X}{VPC}".replace(', "rtb-0b000000"', ""),
            "[stages.x] vpc needs as many zones and route_tables as subnets.",
        ),
        (f"{X}{VPC}".replace("1b", "1a"), "[stages.x] vpc needs subnets in two zones or more"),
        (f'{X}{VPC}endpoints = ["ec2"]\n', "[stages.x] vpc.endpoints has 'ec2'; there are"),
        (f"{X}{VPC}".replace('id = "vpc-0a000000"\n', ""), "[stages.x] vpc.id is missing"),
        (X + AWAKE.replace("07", "21"), "[stages.x] awake.stop must be later than awake.start on the same day."),
        (X + AWAKE.replace("07", "7"), "[stages.x] awake.start must be a time from 00:00 to 23:59."),
        (f'{X}{AWAKE}timezone = "Mars"\n', "[stages.x] awake.timezone 'Mars' is no time zone."),
        (f"{X}protected = true\n{AWAKE}", "[stages.x] Stage x is protected, so its database cannot stop"),
        (f"{X}settings = {{ turn_secs = 3 }}\n", "[stages.x] settings.turn_secs is not known"),
        (f"{X}settings = {{ turn_seconds = 841 }}\n", "[stages.x] settings.turn_seconds must be at most 840 on AWS."),
        (f"{X}settings = {{ turn_max_calls = -1 }}\n", "[stages.x] settings.turn_max_calls must be greater than or"),
        (f"{X}settings = {{ turn_max_usd = 3 }}\n", "[stages.x] settings.turn_max_usd is the field turn_usd"),
        (f'{X}settings = {{ queue_url = "x" }}\n', "[stages.x] settings.queue_url cannot be set"),
    ],
)
def test_a_mistake_is_one_line_that_names_its_table(file: Path, content: str, said: str) -> None:
    assert refused(file, content).startswith(said)


def test_every_field_of_a_stage_can_be_set(file: Path) -> None:
    """A new field of `Stage` needs no other change."""
    for field in fields(Stage):
        if field.name != "name":
            assert "is not known" not in refused(file, f"{X}{field.name} = {{ nobody = [] }}\nzonse = 1\n").replace(
                "zonse is not known", ""
            )


def run(module: str, *arguments: str, stages: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, stages_file.VARIABLE: str(stages)}
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_file_with_a_mistake_synthesises_no_stage(file: Path, tmp_path: Path) -> None:
    file.write_text("[stages.dev]\nzonse = 3\n")
    ran = run("infra_cdk.app", "dev", "--out", str(tmp_path / "out"), stages=file)
    assert (ran.returncode, (tmp_path / "out").exists()) == (1, False)
    assert "zonse is not known; did you mean zones?" in ran.stderr.splitlines()[-1]


def test_a_stage_that_is_in_no_file_is_named_with_those_that_are(file: Path) -> None:
    file.write_text(X)
    ran = run("infra_cdk.app", "y", stages=file)
    assert "There is no stage 'y'; there are dev, staging, prod, x." in ran.stderr


def test_the_list_shows_each_stage_with_every_value(file: Path) -> None:
    file.write_text(f"{X}zones = 3\n")
    ran = run("infra_cdk.stages_file", "x", stages=file)
    assert ran.stdout.splitlines()[0] == "[stages.x]"
    assert "  zones = 3" in ran.stdout.splitlines()
    assert len(ran.stdout.splitlines()) == len(fields(Stage))


class TestExamples:
    def test_examples_have_one_stage_of_each_kind(self) -> None:
        assert [path.stem for path in EXAMPLES] == ["cheap", "existing_network", "production"]

    def test_cheap_example_stops_at_night_and_has_its_own_names(self, tmp_path: Path) -> None:
        stage, template = example(ROOT / "infra_cdk/examples/cheap.toml", tmp_path)
        assert stage.prefix == "pantheon-ada-lab"
        assert len(template.resources("AWS::Scheduler::Schedule")) == 6
        told = template.functions()["turns"]["Environment"]["Variables"]
        assert (told["PANTHEON_TURN_SECONDS"], template.functions()["turns"]["Timeout"]) == ("120", 180)

    def test_production_example_has_its_domain_and_its_issuer(self, tmp_path: Path) -> None:
        _, template = example(ROOT / "infra_cdk/examples/production.toml", tmp_path)
        assert template.one("AWS::ApiGateway::DomainName")["DomainName"] == "council.example.org"
        assert not template.resources("AWS::Cognito::UserPool")
        told = template.functions()["authorizer"]["Environment"]["Variables"]
        assert (told["PANTHEON_TENANT_CLAIM"], told["PANTHEON_ROLES_CLAIM"]) == ("organization", "realm_roles")

    def test_a_network_that_exists_is_used_and_only_missing_endpoints_are_made(self, tmp_path: Path) -> None:
        stage, template = example(ROOT / "infra_cdk/examples/existing_network.toml", tmp_path)
        assert stage.vpc is not None
        assert not [one for kind in ("VPC", "Subnet", "Route", "FlowLog") for one in template.all(f"AWS::EC2::{kind}")]
        made = template.resources("AWS::EC2::VPCEndpoint").values()
        assert {text(one["ServiceName"]).rpartition(".")[2] for one in made} == {"sqs", "bedrock-runtime"}
        for function in template.functions().values():
            if "VpcConfig" in function:
                assert tuple(function["VpcConfig"]["SubnetIds"]) == stage.vpc.subnets
        # The migration reaches the endpoint that exists by the VPC's addresses.
        rules = list(template.resources("AWS::EC2::SecurityGroup").values())
        sent = {rule["CidrIp"] for one in rules for rule in one.get("SecurityGroupEgress", []) if rule["CidrIp"]}
        assert stage.vpc.cidr in sent
        (group,) = template.resources("AWS::RDS::DBSubnetGroup").values()
        assert tuple(group["SubnetIds"]) == stage.vpc.subnets


@pytest.mark.parametrize(
    "module", ["infra_cdk.authorities", "infra_cdk.stages_file", "infra_cdk.confirm", "infra_cdk.compare"]
)
def test_each_command_prints_the_same_line(file: Path, tmp_path: Path, module: str) -> None:
    file.write_text("[stages.dev]\nzonse = 3\n")
    download = tmp_path / "authorities.pem"
    download.write_text("")
    given = {
        "infra_cdk.authorities": [str(download)],
        "infra_cdk.stages_file": [],
        "infra_cdk.confirm": ["dev", "--url", "https://x", "--token", "x"],
        "infra_cdk.compare": ["HEAD"],
    }[module]
    ran = run(module, *given, stages=file)
    assert ran.returncode in (1, 2)
    assert ran.stderr == f"{file}: [stages.dev] zonse is not known; did you mean zones?\n"


def test_regions_of_the_file_have_their_certificates(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(f'{X}region = "us-west-2"\n')
    monkeypatch.setenv(stages_file.VARIABLE, str(file))
    assert authorities.stage_regions() == {"eu-central-1", "us-west-2"}


def test_a_service_with_an_endpoint_of_the_vpc_is_not_reached_over_the_internet(file: Path, tmp_path: Path) -> None:
    file.write_text(f'{X}{VPC}endpoints = ["sqs"]\n')
    template = synthesised(load(file)["x"], tmp_path)
    told = {name for one in template.functions().values() for name in one["Environment"]["Variables"]}
    assert {name for name in told if name.startswith("AWS_ENDPOINT")} == {"AWS_ENDPOINT_URL_SECRETS_MANAGER"}
    dual = {name for name, one in template.functions().items() if "Ipv6AllowedForDualStack" in str(one)}
    assert dual == {"migrate"}
