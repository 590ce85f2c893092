"""The evaluator of policies refuses like AWS, and the template's policies refuse calls that no function needs."""

from dataclasses import replace
from pathlib import Path

import pytest

from infra_cdk.entries import API, AUTHORIZER, RECONCILER, TURNS, WORKER, Entry
from infra_cdk.stages import DEV, Stage
from tests.support.templates.asked import (
    ACCOUNT,
    OURS,
    PARTITION,
    endpoint_policy,
    model_requests,
    requests,
    role_policy,
)
from tests.support.templates.catalogs import BEDROCK, BOTH, SECRET, alias, template_of
from tests.support.templates.policy import Asked, allowed
from tests.support.templates.template import Template

ALLOW = {"Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:aws:s3:::b/*"}
GET = Asked("s3:GetObject", "arn:aws:s3:::b/k")
FAST = "global.anthropic.claude-haiku-5-5"
STREAM = "bedrock:InvokeModelWithResponseStream"
READ_SECRET = "secretsmanager:GetSecretValue"
APPLICATION = "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/abcdef"


class TestEvaluator:
    @pytest.mark.parametrize(
        ("changed", "expected"),
        [
            ({}, True),
            ({"Action": ["s3:PutObject"]}, False),
            ({"Action": ["S3:getobject"]}, True),
            ({"Resource": "arn:aws:s3:::b"}, False),
            ({"Resource": "arn:aws:s3:::b/?"}, True),
            ({"Resource": "arn:aws:s3:::b/[a-z]"}, False),
            ({"Condition": {"StringEquals": {"s3:prefix": "k"}}}, False),
        ],
    )
    def test_statement_covers_actions_and_resources_like_aws(self, changed: dict[str, object], expected: bool) -> None:
        assert allowed([{**ALLOW, **changed}], GET) is expected

    def test_deny_wins_over_an_allow_and_nothing_allows_nothing(self) -> None:
        assert not allowed([ALLOW, {**ALLOW, "Effect": "Deny"}], GET)
        assert not allowed([], GET)

    @pytest.mark.parametrize(("prefix", "expected"), [("bedrock/a", True), ("other", False)])
    def test_condition_needs_its_key_with_one_of_its_values(self, prefix: str, expected: bool) -> None:
        statement = {**ALLOW, "Condition": {"StringLike": {"S3:Prefix": ["bedrock/*", "x"]}}}
        assert allowed([statement], replace(GET, context={"s3:prefix": prefix})) is expected

    @pytest.mark.parametrize("changed", [{"Condition": {"Bool": {"a": "b"}}}, {"NotAction": "s3:*"}])
    def test_statement_that_it_does_not_know_is_an_error(self, changed: dict[str, object]) -> None:
        with pytest.raises(ValueError, match="cannot be evaluated"):
            allowed([{**ALLOW, **changed}], GET)


def both_allow(template: Template, entry: Entry, service: str, asked: Asked) -> bool:
    """Return whether role and endpoint allow a call. The endpoint alone may allow it for another function."""
    return allowed(role_policy(template, entry), asked) and allowed(endpoint_policy(template, service), asked)


class TestModels:
    @pytest.mark.parametrize(("entry", "expected"), [(TURNS, True), (WORKER, False), (API, False)])
    def test_stream_is_for_the_function_that_has_a_reader(
        self, template: Template, stage: Stage, entry: Entry, expected: bool
    ) -> None:
        every = list(model_requests(STREAM, FAST, stage))
        assert len(every) == 3
        assert {allowed(role_policy(template, entry), asked) for asked in every} == {expected}

    def test_model_is_refused_under_another_name_in_another_region_and_without_its_profile(
        self, template: Template, stage: Stage
    ) -> None:
        own, here, nowhere = model_requests(STREAM, FAST, stage)
        elsewhere = {**own.context, "aws:RequestedRegion": "us-east-1"}
        refused = [
            replace(own, resource=f"{own.resource}-other"),
            replace(own, context=elsewhere),
            replace(here, context=own.context),
            replace(nowhere, context={**nowhere.context, "aws:RequestedRegion": stage.region}),
            replace(own, action="bedrock:GetFoundationModel"),
        ]
        assert [asked for asked in refused if both_allow(template, TURNS, "bedrock-runtime", asked)] == []

    def test_application_profile_is_allowed_and_gives_its_models_only_through_itself(self, tmp_path: Path) -> None:
        template = template_of(BEDROCK + alias("fast", "bedrock", APPLICATION), tmp_path)
        here = {"aws:PrincipalAccount": ACCOUNT, "aws:RequestedRegion": DEV.region}
        profile = Asked(STREAM, APPLICATION.replace("arn:aws:", f"arn:{PARTITION}:"), here)
        through = {**here, "bedrock:InferenceProfileArn": profile.resource}
        model = Asked(STREAM, f"arn:{PARTITION}:bedrock:eu-west-1::foundation-model/anthropic.any", through)
        for asked, expected in ((profile, True), (model, True), (replace(model, context=here), False)):
            assert both_allow(template, TURNS, "bedrock-runtime", asked) is expected, asked


class TestSecrets:
    def test_key_of_a_provider_is_read_by_those_that_ask_and_no_other_secret_is(self, tmp_path: Path) -> None:
        template = template_of(BOTH, tmp_path, "nat")
        start = f"arn:{PARTITION}:secretsmanager:{DEV.region}:{ACCOUNT}:secret:{SECRET}"
        key, other = (Asked(READ_SECRET, f"{start}{end}", OURS) for end in ("-AbCdEf", "-other-AbCdEf"))
        for entry, asked, expected in ((TURNS, key, True), (WORKER, key, True), (TURNS, other, False)):
            assert both_allow(template, entry, "secretsmanager", asked) is expected
        assert not allowed(role_policy(template, API), key)

    def test_owners_secret_is_not_for_those_that_ask_models(self, template: Template, stage: Stage) -> None:
        (owners,) = requests(template, stage, READ_SECRET, "")
        assert not allowed(role_policy(template, TURNS), owners)


class TestObjects:
    LOG = "invocations/bedrock/AWSLogs/123456789012/x.json.gz"

    @pytest.mark.parametrize(
        ("entry", "action", "about", "expected"),
        [
            (RECONCILER, "s3:GetObject", LOG, True),
            (RECONCILER, "s3:ListBucket", "invocations/bedrock/AWSLogs", True),
            (RECONCILER, "s3:ListBucket", "invocations/other/", False),
            (RECONCILER, "s3:GetObject", "invocations/other/x", False),
            (RECONCILER, "s3:PutObject", LOG, False),
            (RECONCILER, "s3:GetObject", "issuer-keys/jwks.json", False),
            (AUTHORIZER, "s3:GetObject", "issuer-keys/jwks.json", True),
            (AUTHORIZER, "s3:GetObject", "issuer-keys/other.json", False),
            (AUTHORIZER, "s3:PutObject", "issuer-keys/jwks.json", False),
            (AUTHORIZER, "s3:GetObject", LOG, False),
        ],
    )
    def test_object_is_for_the_function_that_needs_it(
        self, template: Template, stage: Stage, entry: Entry, action: str, about: str, expected: bool
    ) -> None:
        (asked,) = requests(template, stage, action, about)
        assert both_allow(template, entry, "s3", asked) is expected

    def test_bucket_of_another_account_is_out_of_reach(self, template: Template, stage: Stage) -> None:
        (asked,) = requests(template, stage, "s3:GetObject", self.LOG)
        foreign = replace(asked, context={**OURS, "aws:ResourceAccount": "999999999999"})
        assert allowed(role_policy(template, RECONCILER), foreign)
        assert not allowed(endpoint_policy(template, "s3"), foreign)
