"""Users sign in with a second factor, cannot choose a tenant, and have one in each token."""

from dataclasses import replace

import pytest

from infra_cdk.stages import DEV, Stage
from tests.infra.assembly import synthesised
from tests.infra.template import Template, text


@pytest.fixture(scope="module")
def own_issuer(tmp_path_factory: pytest.TempPathFactory) -> Template:
    stage = replace(
        DEV,
        issuer="https://issuer.example.org",
        audience="council",
        tenant_claim="org",
        roles_claim="groups",
        operator_role="root",
        tenant_of_one=True,
    )
    return synthesised(stage, tmp_path_factory.mktemp("issuer"))


def told(template: Template, function: str) -> dict[str, str]:
    variables = template.functions()[function]["Environment"]["Variables"]
    return {name: text(value) for name, value in variables.items()}


def test_an_administrator_makes_users(template: Template) -> None:
    assert template.one("AWS::Cognito::UserPool")["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"] is True


def test_a_second_factor_is_an_authenticators_code(template: Template) -> None:
    pool = template.one("AWS::Cognito::UserPool")
    assert (pool["MfaConfiguration"], pool["EnabledMfas"]) == ("ON", ["SOFTWARE_TOKEN_MFA"])


def test_a_token_names_the_tenant_and_no_user_chooses_it(template: Template) -> None:
    client = template.one("AWS::Cognito::UserPoolClient")
    assert {"custom:tenant_id", "email"} <= set(client["ReadAttributes"])
    assert client["WriteAttributes"] == ["family_name", "given_name"]


def test_who_is_signed_in_stays_so_for_half_a_day_and_can_be_signed_out(template: Template) -> None:
    client = template.one("AWS::Cognito::UserPoolClient")
    assert client["TokenValidityUnits"] == dict.fromkeys(("AccessToken", "IdToken", "RefreshToken"), "minutes")
    assert (client["IdTokenValidity"], client["RefreshTokenValidity"]) == (60, 12 * 60)
    assert client["EnableTokenRevocation"] is True


def test_roles_are_groups(template: Template, stage: Stage) -> None:
    groups = {group["GroupName"] for group in template.resources("AWS::Cognito::UserPoolGroup").values()}
    assert groups == {"member", "admin", stage.operator_role}
    assert stage.operator_role == "pantheon:operator"


def test_the_output_has_the_two_commands_of_a_sign_in(template: Template) -> None:
    how = text(template.body["Outputs"]["Token"]["Value"])
    first, second = how.removeprefix("1. ").split(" 2. ")
    assert first.startswith("aws cognito-idp admin-initiate-auth ")
    assert first.endswith("--query Session --output text")
    assert second.startswith("aws cognito-idp admin-respond-to-auth-challenge ")
    assert "--challenge-name SOFTWARE_TOKEN_MFA " in second
    assert second.endswith("--query AuthenticationResult.IdToken --output text")


def test_the_authorizer_is_told_the_pools_claims(template: Template, stage: Stage) -> None:
    authorizer = told(template, "authorizer")
    assert authorizer["PANTHEON_TENANT_CLAIM"] == "custom:tenant_id"
    assert authorizer["PANTHEON_ROLES_CLAIM"] == "cognito:groups"
    assert authorizer["PANTHEON_OPERATOR_ROLE"] == stage.operator_role
    assert authorizer["PANTHEON_TENANT_OF_ONE"] == "false"
    assert authorizer["PANTHEON_JWT_ISSUER"] == told(template, "jwks")["PANTHEON_JWT_ISSUER"]


def test_an_issuer_of_ones_own_has_its_claims_and_no_pool(own_issuer: Template) -> None:
    authorizer = told(own_issuer, "authorizer")
    assert authorizer["PANTHEON_JWT_ISSUER"] == "https://issuer.example.org"
    assert authorizer["PANTHEON_JWT_AUDIENCE"] == "council"
    assert authorizer["PANTHEON_TENANT_CLAIM"] == "org"
    assert authorizer["PANTHEON_ROLES_CLAIM"] == "groups"
    assert authorizer["PANTHEON_TENANT_OF_ONE"] == "true"
    assert {told(own_issuer, name)["PANTHEON_OPERATOR_ROLE"] for name in ("authorizer", "api", "admin")} == {"root"}
    assert own_issuer.resources("AWS::Cognito::UserPool") == {}


def test_the_document_of_keys_is_kept_private(template: Template, stage: Stage) -> None:
    (bucket,) = template.all("AWS::S3::Bucket").values()
    assert set(bucket["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["Properties"]["VersioningConfiguration"] == {"Status": "Enabled"}
    (rule,) = bucket["Properties"]["LifecycleConfiguration"]["Rules"]
    assert "ExpirationInDays" not in rule, "keys must outlast an issuer that cannot be reached"
    assert rule["NoncurrentVersionExpiration"]["NoncurrentDays"] == 7
    (policy,) = template.resources("AWS::S3::BucketPolicy").values()
    only_tls, *emptying = policy["PolicyDocument"]["Statement"]
    assert (only_tls["Effect"], only_tls["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    # The CDK's function, which empties the bucket before it goes with its stage. It reads no object.
    assert len(emptying) == int(not stage.protected)
    for one in emptying:
        assert text(one["Principal"]["AWS"]).startswith("<CustomS3AutoDeleteObjects")
        assert set(one["Action"]) == {"s3:PutBucketPolicy", "s3:GetBucket*", "s3:List*", "s3:DeleteObject*"}


def test_the_two_functions_that_know_the_document_name_the_same_one(template: Template) -> None:
    (bucket,) = template.resources("AWS::S3::Bucket")
    urls = {name: told(template, name).get("PANTHEON_JWKS_URL") for name in template.functions()}
    assert {name for name, url in urls.items() if url} == {"authorizer", "jwks"}
    assert set(urls.values()) == {None, f"s3://<{bucket}>/jwks.json"}
