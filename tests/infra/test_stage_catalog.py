"""A stage has exactly the rights that its catalog needs. An unusable catalog stops the synthesis."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from infra_cdk import app, stage_catalog
from infra_cdk.assets import Assets
from infra_cdk.entries import ENTRIES, MIGRATE
from infra_cdk.stage_catalog import DEPLOYED
from infra_cdk.stages import DEV, PROD
from shared.errors import ConfigurationError
from shared.names import Env
from tests.support.templates.catalogs import (
    AWAY,
    BEDROCK,
    BOTH,
    PROFILE,
    SCRIPTED,
    SECRET,
    VENDOR,
    alias,
    template_of,
    with_catalog,
)
from tests.support.templates.template import Template, listed, text

ROOT = Path(__file__).parents[2]
ASKERS = {f"{entry.title}Role" for entry in ENTRIES if entry.asks}
SECRET_READ, INVOKE = "secretsmanager:GetSecretValue", "bedrock:InvokeModel"
STREAM = "bedrock:InvokeModelWithResponseStream"
START = "arn:<AWS::Partition>"
SECRET_ARN = f"{START}:secretsmanager:eu-central-1:<AWS::AccountId>:secret:{SECRET}-??????"


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """Return the template of a stage with a provider on Bedrock and one on the internet."""
    return template_of(BOTH, tmp_path_factory.mktemp("both"), "nat")


@pytest.fixture(scope="module")
def away(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """A stage without Bedrock."""
    return template_of(AWAY, tmp_path_factory.mktemp("away"), "ipv6")


def granted(template: Template, action: str) -> set[tuple[str, str]]:
    """Owners and resources."""
    found = [one for one in template.statements() if action in one.actions and one.effect == "Allow"]
    return {(one.owner, resource) for one in found for resource in one.resources}


def let_through(template: Template, service: str) -> set[str]:
    """The resources of the endpoint's policy."""
    for endpoint in template.resources("AWS::EC2::VPCEndpoint").values():
        if text(endpoint["ServiceName"]).endswith(f".{service}"):
            return {text(r) for one in endpoint["PolicyDocument"]["Statement"] for r in listed(one["Resource"])}
    return set()


def told(template: Template, name: str) -> Mapping[str, str]:
    found: Mapping[str, str] = template.functions()[name]["Environment"]["Variables"]
    return found


class TestFile:
    def test_catalog_is_in_a_layer_of_the_functions_that_read_it(self, tmp_path: Path) -> None:
        template = template_of(BOTH, tmp_path, "nat")
        ((layer, body),) = [
            (id_, one) for id_, one in template.all("AWS::Lambda::LayerVersion").items() if id_.startswith("Catalog")
        ]
        (file,) = (tmp_path / "out" / body["Metadata"]["aws:asset:path"]).iterdir()
        assert (f"/opt/{file.name}", file.read_text()) == (DEPLOYED, BOTH)
        readers = {entry.name for entry in ENTRIES if entry.reads_catalog}
        assert readers == {"api", "turns", "worker", "reconciler"}
        assert {
            name for name, one in template.functions().items() if f"<{layer}>" in map(text, one["Layers"])
        } == readers
        assert {name for name in template.functions() if Env.CATALOG in told(template, name)} == readers

    def test_changed_catalog_makes_new_versions_of_its_readers(self, tmp_path: Path) -> None:
        def versions(folder: Path, comment: str) -> set[str]:
            folder.mkdir()
            return set(template_of(SCRIPTED + comment, folder).resources("AWS::Lambda::Version"))

        changed = versions(tmp_path / "first", "") - versions(tmp_path / "second", "# Later.\n")
        assert {id_.partition("Function")[0] for id_ in changed} == {
            entry.title for entry in ENTRIES if entry.reads_catalog
        }


class TestBedrock:
    def test_functions_that_ask_models_may_call_only_those_of_the_catalog(self, both: Template) -> None:
        foundation = PROFILE.removeprefix("global.")
        expected = {
            f"{START}:bedrock:eu-central-1:<AWS::AccountId>:inference-profile/{PROFILE}",
            f"{START}:bedrock:eu-central-1::foundation-model/{foundation}",
            f"{START}:bedrock:::foundation-model/{foundation}",
        }
        assert granted(both, INVOKE) == {(owner, resource) for owner in ASKERS for resource in expected}
        assert granted(both, STREAM) == {("TurnsRole", resource) for resource in expected}
        assert let_through(both, "bedrock-runtime") == expected

    @pytest.mark.parametrize("name", ["away", "scripted"])
    def test_stage_without_bedrock_has_no_endpoint_right_or_log(
        self, name: str, away: Template, tmp_path: Path
    ) -> None:
        template = away if name == "away" else template_of(SCRIPTED, tmp_path)
        assert granted(template, INVOKE) == granted(template, STREAM) == set()
        assert let_through(template, "bedrock-runtime") == set()
        assert not [one for one in template.resources("AWS::EC2::SecurityGroup") if one.startswith("NetworkBedrock")]
        assert Env.INVOCATION_LOG not in told(template, "reconciler")
        assert not [owner for owner, _ in granted(template, "s3:ListBucket")]
        assert {owner for owner, _ in granted(template, "s3:GetObject")} == {"AuthorizerRole"}
        assert "AWS/Bedrock" not in json.dumps(template.body)

    @pytest.mark.parametrize(
        ("model_id", "resources"),
        [
            ("amazon.nova-2-lite-v1:0", [f"{START}:bedrock:eu-central-1::foundation-model/amazon.nova-2-lite-v1:0"]),
            ("zai.glm-4.7", [f"{START}:bedrock:eu-central-1::foundation-model/zai.glm-4.7"]),
            (
                "eu.amazon.nova-2-lite-v1:0",
                [
                    f"{START}:bedrock:eu-central-1:<AWS::AccountId>:inference-profile/eu.amazon.nova-2-lite-v1:0",
                    f"{START}:bedrock:*::foundation-model/amazon.nova-2-lite-v1:0",
                ],
            ),
            (
                "arn:aws:bedrock:eu-central-1:123456789012:inference-profile/us.amazon.nova-2-lite-v1:0",
                [
                    f"{START}:bedrock:eu-central-1:123456789012:inference-profile/us.amazon.nova-2-lite-v1:0",
                    f"{START}:bedrock:*::foundation-model/amazon.nova-2-lite-v1:0",
                ],
            ),
            (
                "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/a1b2c3d4e5f6",
                [
                    f"{START}:bedrock:eu-central-1:123456789012:application-inference-profile/a1b2c3d4e5f6",
                    f"{START}:bedrock:*::foundation-model/*",
                ],
            ),
            (
                "arn:aws:bedrock:eu-central-1:123456789012:provisioned-model/a1b2c3d4e5f6",
                [f"{START}:bedrock:eu-central-1:123456789012:provisioned-model/a1b2c3d4e5f6"],
            ),
            (
                "arn:aws:bedrock:eu-central-1::foundation-model/amazon.nova-2-lite-v1:0",
                [f"{START}:bedrock:eu-central-1::foundation-model/amazon.nova-2-lite-v1:0"],
            ),
        ],
    )
    def test_right_on_a_model_has_the_resources_of_its_kind_of_id(
        self, model_id: str, resources: list[str], tmp_path: Path
    ) -> None:
        template = template_of(BEDROCK + alias("fast", "bedrock", model_id), tmp_path)
        assert granted(template, INVOKE) == {(owner, resource) for owner in ASKERS for resource in resources}
        assert granted(template, STREAM) == {("TurnsRole", resource) for resource in resources}
        assert let_through(template, "bedrock-runtime") == set(resources)
        for one in template.statements():
            if any(":bedrock:*:" in resource for resource in one.resources):
                assert text(one.conditions["StringEquals"]["bedrock:InferenceProfileArn"]) == resources[0]

    def test_more_models_than_an_alarm_reads_make_a_second_alarm(self, tmp_path: Path) -> None:
        models = [alias("fast", "bedrock", PROFILE), *(alias(f"m{n}", "bedrock", f"amazon.m{n}") for n in range(7))]
        alarms = template_of(BEDROCK + "".join(models), tmp_path).resources("AWS::CloudWatch::Alarm").values()
        found = {text(one["AlarmName"]): one for one in alarms if "Throttles" in text(one.get("AlarmName", ""))}
        assert set(found) == {"pantheon-dev-Throttles", "pantheon-dev-Throttles2"}
        watched = [m["MetricStat"] for one in found.values() for m in one["Metrics"] if "MetricStat" in m]
        asked = {d["Value"] for m in watched for d in m["Metric"]["Dimensions"] if d["Name"] == "ModelId"}
        assert asked == {PROFILE, *(f"amazon.m{n}" for n in range(7))}
        for one in found.values():
            assert sum("MetricStat" in m for m in one["Metrics"]) <= 10
            assert one["AlarmDescription"].endswith(" docs/runbook.md#throttles")


class TestSecrets:
    def test_functions_that_ask_models_may_read_only_the_keys_secret(self, both: Template) -> None:
        reads = {(owner, resource) for owner, resource in granted(both, SECRET_READ) if owner in ASKERS}
        assert reads == {(owner, SECRET_ARN) for owner in ASKERS}
        others = granted(both, SECRET_READ) - reads
        assert {owner for owner, _ in others} == {f"{MIGRATE.title}Role"}
        assert let_through(both, "secretsmanager") == {SECRET_ARN, *(resource for _, resource in others)}

    @pytest.mark.parametrize(
        ("named", "granted_arn"),
        [
            ("key", f"{START}:secretsmanager:eu-central-1:<AWS::AccountId>:secret:key-??????"),
            # The last part of this name looks like Secrets Manager's own suffix.
            ("vendor-abcdef", f"{START}:secretsmanager:eu-central-1:<AWS::AccountId>:secret:vendor-abcdef-??????"),
            (
                "arn:aws:secretsmanager:eu-central-1:123456789012:secret:key-Ab12Cd",
                "arn:aws:secretsmanager:eu-central-1:123456789012:secret:key-Ab12Cd",
            ),
            (
                "arn:aws:secretsmanager:eu-central-1:123456789012:secret:key",
                "arn:aws:secretsmanager:eu-central-1:123456789012:secret:key-??????",
            ),
        ],
    )
    def test_a_name_and_an_arn_are_granted_as_one_secret(self, named: str, granted_arn: str, tmp_path: Path) -> None:
        template = template_of(AWAY.replace(SECRET, named), tmp_path, "nat")
        assert {resource for owner, resource in granted(template, SECRET_READ) if owner in ASKERS} == {granted_arn}

    def test_pattern_of_a_secret_does_not_match_a_longer_name(self) -> None:
        own = f"{SECRET_ARN.removesuffix('-??????')}-Ab12Cd"
        assert fnmatchcase(own, SECRET_ARN)
        assert not fnmatchcase(f"{SECRET_ARN.removesuffix('-??????')}-other-Ab12Cd", SECRET_ARN)

    def test_environment_of_a_function_has_no_key(self, both: Template) -> None:
        assert not [
            value for name in both.functions() for value in told(both, name).values() if SECRET in json.dumps(value)
        ]


def faulty(change: tuple[str, str], catalog: str = BOTH) -> str:
    before, after = change
    assert before in catalog
    return catalog.replace(before, after)


class TestMistakes:
    @pytest.mark.parametrize(
        ("catalog", "line"),
        [
            ("[providers.bedrock", "Expected"),
            (faulty(('output = "15"', 'output = "-1"')), r"\[aliases.fast\] rates.output must be"),
            (BEDROCK + alias("deep", "bedrock", PROFILE), r"\[aliases.fast\] is missing; routing and summaries use it"),
            (
                faulty((f"secret:{SECRET}", "env:VENDOR_KEY")),
                r"\[providers.vendor\] api_key must be secret:NAME on a stage",
            ),
            (
                faulty((SECRET, "*")),
                r"\[providers.vendor\] api_key must be secret: and the name or the ARN of one secret",
            ),
            (faulty((SECRET, "pantheon/?")), r"\[providers.vendor\] api_key must be secret: and the name"),
            (
                faulty((SECRET, "arn:aws:secretsmanager:us-east-1:123456789012:secret:key-Ab12Cd")),
                r"\[providers.vendor\] api_key is a secret in us-east-1; stage dev reads those in eu-central-1 only",
            ),
            (faulty(("https://", "http://")), r"\[providers.vendor\] base_url must begin with https:// on a stage"),
            (faulty(("https://", "https://me:word@")), r"\[providers.vendor\] base_url must hold no name"),
            (faulty((".org/", ".org:70000/")), r"\[providers.vendor\] base_url has no port from 1 to 65535"),
            (
                faulty((BEDROCK, BEDROCK + 'region = "us-east-1"\n')),
                r"\[providers.bedrock\] region is us-east-1; stage dev",
            ),
            (faulty((PROFILE, "*")), r"\[aliases.fast\] model_id must be the id or the ARN of a model"),
            (faulty((PROFILE, "amazon.*")), r"\[aliases.fast\] model_id must be the id or the ARN of a model"),
            (
                faulty((PROFILE, "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-2-lite-v1:0")),
                r"\[aliases.fast\] model_id is in us-east-1, and the stage is in eu-central-1",
            ),
            (
                faulty((PROFILE, "arn:aws:bedrock:eu-central-1:123456789012:guardrail/a1")),
                r"\[aliases.fast\] model_id is an ARN of a kind that the stack cannot allow",
            ),
            (BOTH + '[providers.here]\nkind = "local"\n' + alias("home", "here"), r"\[providers.here\] kind 'local'"),
        ],
    )
    def test_a_file_that_a_stage_cannot_use_is_refused_with_one_line(
        self, catalog: str, line: str, tmp_path: Path
    ) -> None:
        with pytest.raises(ConfigurationError, match=line) as refused:
            stage_catalog.read(with_catalog(catalog, tmp_path, "nat"))
        assert str(refused.value).startswith(f"{tmp_path / 'dev.toml'}: ")
        assert "\n" not in str(refused.value)

    def test_a_provider_that_no_alias_asks_needs_nothing(self, tmp_path: Path) -> None:
        found = stage_catalog.read(with_catalog(BEDROCK + VENDOR + alias("fast", "bedrock", PROFILE), tmp_path))
        assert (found.secrets, found.ports) == ((), ())

    def test_missing_file_is_refused_with_its_name(self, tmp_path: Path) -> None:
        stage = with_catalog(BOTH, tmp_path)
        Path(stage.catalog).unlink()
        with pytest.raises(ConfigurationError, match=r"dev\.toml: No such file"):
            stage_catalog.read(stage)

    def test_synthesising_prints_the_line_and_writes_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Assets.empty(tmp_path / "build")
        monkeypatch.setattr(app, "chosen", lambda names: [with_catalog(BOTH, tmp_path) for _ in names])
        arguments = ["app", "dev", "--build", str(tmp_path / "build"), "--out", str(tmp_path / "out")]
        monkeypatch.setattr(sys, "argv", arguments)
        assert app.main() == 1
        assert capsys.readouterr().err.splitlines() == [
            f"{tmp_path / 'dev.toml'}: [providers.vendor] is on the internet; stage dev needs egress 'nat' or 'ipv6'."
        ]
        assert not list((tmp_path / "out").glob("*.template.json"))


def test_example_of_the_page_is_a_valid_catalog_of_a_stage(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "stages.md").read_text()
    (example,) = re.findall(r"^```toml\n(.*?)^```$", page, re.M | re.S)
    found = stage_catalog.read(with_catalog(example, tmp_path, "nat"))
    assert (len(found.models), found.secrets, found.ports) == (1, ("pantheon/openai",), (443,))


def test_stages_of_the_repository_use_only_bedrock() -> None:
    assert {stage.egress for stage in (DEV, PROD)} == {"none"}
    assert all(stage_catalog.read(stage).models for stage in (DEV, PROD))


# The start of a process of `turns` before its first call, with Lambda's own variables.
START_OF_TURNS = """
import sys
from functions.turns import handler
from shared.llm import providers
before = "boto3" in sys.modules
try:
    providers.provider()
finally:
    print(before, "boto3" in sys.modules)
"""


def started(catalog: str, folder: Path) -> str:
    (folder / "catalog.toml").write_text(catalog)
    environment: dict[str, Any] = {
        "PYTHONPATH": str(ROOT),
        Env.CATALOG: str(folder / "catalog.toml"),
        "AWS_REGION": "eu-central-1",
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": "http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
    }
    command = [sys.executable, "-c", START_OF_TURNS]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout.strip()


@pytest.mark.parametrize(
    ("catalog", "loads"),
    [
        (VENDOR.replace(f'api_key = "secret:{SECRET}"\n', "") + alias("fast", "vendor"), "False False"),
        (SCRIPTED, "False False"),
        (AWAY, "False True"),
        (BEDROCK + alias("fast", "bedrock", PROFILE), "False True"),
    ],
    ids=["no key", "scripted", "a secret", "bedrock"],
)
def test_turns_load_boto3_only_for_bedrock_or_a_secret(catalog: str, loads: str, tmp_path: Path) -> None:
    assert started(catalog, tmp_path) == loads
