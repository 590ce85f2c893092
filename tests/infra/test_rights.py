"""Rights name their resources. Each star has a reason, models are named, and a right reads one secret."""

import re

import pytest

from infra_cdk.entries import ENTRIES, JWKS, MIGRATE, Entry
from infra_cdk.function import INTERFACE_ACTIONS
from infra_cdk.rights import ASK_MODEL, STREAM_MODEL
from infra_cdk.stage_catalog import ROOT
from infra_cdk.stages import Stage
from shared.catalog.file import read_catalog
from tests.support.templates.template import Statement, Template

INTERFACES = "Lambda gives a function its network interface with these; they know no resource."
# The statements that may contain a star, by owner, actions and resource.
REASONS: dict[tuple[str, tuple[str, ...], str], str] = {
    (f"{entry.title}Role", INTERFACE_ACTIONS, "*"): INTERFACES for entry in ENTRIES if entry.in_network
} | {
    (
        "ReconcilerRole",
        ("s3:GetObject",),
        "arn:<AWS::Partition>:s3:::pantheon-invocations-<AWS::AccountId>-{region}/bedrock/*",
    ): "The provider's log is many objects, whose names it chooses.",
}
ACCOUNT_REASONS = {
    (
        "SettingCustomResource",
        ("bedrock:PutModelInvocationLoggingConfiguration", "bedrock:DeleteModelInvocationLoggingConfiguration"),
        "*",
    ): "A setting of the account, which no resource names.",
}
# The actions that each field of an entry needs.
NEEDS = {
    "serves": set[str](),
    "sends": {"sqs:SendMessage"},
    "asks": {ASK_MODEL},
    "reads_log": {"s3:ListBucket", "s3:GetObject"},
    "reads_keys": {"s3:GetObject"},
    "writes_keys": {"s3:PutObject"},
    "in_network": set(INTERFACE_ACTIONS),
}
LOGGING = {"logs:CreateLogStream", "logs:PutLogEvents"}
# Lambda's own actions with the role of a function that a queue feeds.
FEEDING = {
    "sqs:ReceiveMessage",
    "sqs:ChangeMessageVisibility",
    "sqs:GetQueueUrl",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
}


def starred(template: Template) -> set[tuple[str, tuple[str, ...], str]]:
    """Return allowed statements with a star in an action or a resource, except a log group's streams."""
    found = set()
    for one in template.statements():
        for resource in one.resources:
            whole = re.fullmatch(r"<\w+\.Arn>", resource) is not None
            if one.effect == "Allow" and (
                any("*" in action for action in one.actions) or (re.search("[*?]", resource) and not whole)
            ):
                found.add((one.owner, one.actions, resource))
    return found


def of(template: Template, entry: Entry) -> list[Statement]:
    return [one for one in template.statements() if one.owner == f"{entry.title}Role" and one.effect == "Allow"]


def test_right_on_every_resource_has_a_reason(template: Template, stage: Stage) -> None:
    allowed = {(owner, actions, resource.format(region=stage.region)) for owner, actions, resource in REASONS}
    assert starred(template) == allowed


def test_account_stack_has_one_right_on_every_resource(account: Template) -> None:
    assert starred(account) == set(ACCOUNT_REASONS)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_role_of_a_function_has_exactly_the_rights_of_its_entry(template: Template, entry: Entry) -> None:
    expected = LOGGING | ({"rds-db:connect"} if entry.role else set())
    expected |= {"secretsmanager:GetSecretValue"} if entry is MIGRATE else set()
    for trait, actions in NEEDS.items():
        expected |= actions if getattr(entry, trait) else set()
    if entry.asks and entry.serves:
        expected.add(STREAM_MODEL)
    if entry.name == "worker":
        expected |= FEEDING
    assert {action for one in of(template, entry) for action in one.actions} == expected


def test_code_of_a_function_is_denied_the_network_rights_of_lambda(template: Template) -> None:
    denied = [one for one in template.statements() if one.effect == "Deny"]
    assert {one.owner for one in denied} == {f"{entry.title}Role" for entry in ENTRIES if entry.in_network}
    assert all(set(one.actions) == set(INTERFACE_ACTIONS) and one.conditions for one in denied)


def test_function_connects_only_as_its_own_database_role(template: Template, stage: Stage) -> None:
    for entry in ENTRIES:
        connects = [one for one in of(template, entry) if "rds-db:connect" in one.actions]
        assert [resource.rpartition("/")[2] for one in connects for resource in one.resources] == (
            [entry.role.value] if entry.role else []
        )
        named = "DatabaseProxy" if stage.proxy else "DatabaseInstance"
        assert all(named in resource for one in connects for resource in one.resources)


def test_only_two_functions_reach_the_issuers_keys_and_no_other_object(template: Template) -> None:
    (bucket,) = template.resources("AWS::S3::Bucket")
    granted = {
        (one.owner, action, resource)
        for one in template.statements()
        for action in one.actions
        for resource in one.resources
        if bucket in resource
    }
    document = f"<{bucket}.Arn>/jwks.json"
    assert granted == {
        ("JwksRole", "s3:PutObject", document),
        ("AuthorizerRole", "s3:GetObject", document),
    }


def test_function_that_reaches_the_internet_has_no_right_on_the_database(template: Template) -> None:
    granted = [one for one in of(template, JWKS) if not set(one.actions) <= LOGGING]
    assert [one.actions for one in granted] == [("s3:PutObject",)]
    assert not any("DATABASE" in name for name in template.functions()[JWKS.name]["Environment"]["Variables"])


def test_models_are_named_one_by_one(template: Template, stage: Stage) -> None:
    """A global profile needs three resources, and its model is allowed only through the profile."""
    for entry in ENTRIES:
        asks = [one for one in of(template, entry) if ASK_MODEL in one.actions]
        assert all((STREAM_MODEL in one.actions) is entry.serves for one in asks)
        granted = {resource for one in asks for resource in one.resources}
        profile = f"arn:<AWS::Partition>:bedrock:{stage.region}:<AWS::AccountId>:inference-profile/"
        profiles = {model.model_id for model in read_catalog(ROOT / stage.catalog).values()}
        models = [model.removeprefix("global.") for model in profiles]
        everything = (
            {profile + model for model in profiles}
            | {f"arn:<AWS::Partition>:bedrock:{stage.region}::foundation-model/{model}" for model in models}
            | {f"arn:<AWS::Partition>:bedrock:::foundation-model/{model}" for model in models}
        )
        assert granted == (everything if entry.asks else set())
        assert not [one for one in of(template, entry) if STREAM_MODEL in one.actions and one not in asks]
    for one in template.statements():
        if any("foundation-model" in resource for resource in one.resources):
            assert "bedrock:InferenceProfileArn" in one.conditions["StringEquals"]


def test_only_the_migration_reads_a_secret_and_it_is_the_owners(template: Template) -> None:
    reads = [one for one in template.statements() if any("secretsmanager" in action for action in one.actions)]
    assert [(one.owner, len(one.resources)) for one in reads] == [("MigrateRole", 1)]
    assert "MasterUserSecret.SecretArn" in reads[0].resources[0]


def test_resource_policy_has_no_public_principal(template: Template, account: Template) -> None:
    for kind in ("AWS::SQS::QueuePolicy", "AWS::S3::BucketPolicy"):
        for policy in [*template.resources(kind).values(), *account.resources(kind).values()]:
            for one in policy["PolicyDocument"]["Statement"]:
                assert one["Effect"] == "Deny" or one["Principal"] not in ("*", {"AWS": "*"})
