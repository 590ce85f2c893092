"""Tests that users sign in with a second factor, cannot choose a tenant, and have one in each token."""

import re
from dataclasses import replace

import pytest

from infra_cdk.console_client import ConsoleClient
from infra_cdk.stages import DEV, Stage
from tests.support.templates.assembly import synthesised
from tests.support.templates.template import Template, text


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
        console_client=ConsoleClient("council"),
    )
    return synthesised(stage, tmp_path_factory.mktemp("issuer"))


def told(template: Template, function: str) -> dict[str, str]:
    variables = template.functions()[function]["Environment"]["Variables"]
    return {name: text(value) for name, value in variables.items()}


def test_users_are_created_only_by_an_administrator(template: Template) -> None:
    assert template.one("AWS::Cognito::UserPool")["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"] is True


def test_second_factor_is_the_code_of_an_authenticator(template: Template) -> None:
    pool = template.one("AWS::Cognito::UserPool")
    assert (pool["MfaConfiguration"], pool["EnabledMfas"]) == ("ON", ["SOFTWARE_TOKEN_MFA"])


def test_token_has_the_tenant_and_users_cannot_change_it(template: Template) -> None:
    client = template.one("AWS::Cognito::UserPoolClient")
    assert {"custom:tenant_id", "email"} <= set(client["ReadAttributes"])
    assert client["WriteAttributes"] == ["family_name", "given_name"]


def test_sign_in_lasts_half_a_day_and_can_be_revoked(template: Template) -> None:
    client = template.one("AWS::Cognito::UserPoolClient")
    assert client["TokenValidityUnits"] == dict.fromkeys(("AccessToken", "IdToken", "RefreshToken"), "minutes")
    assert (client["IdTokenValidity"], client["RefreshTokenValidity"]) == (60, 12 * 60)
    assert client["EnableTokenRevocation"] is True


def test_client_of_the_console_uses_a_code_without_a_secret_and_redirects_only_to_itself(template: Template) -> None:
    client = template.one("AWS::Cognito::UserPoolClient")
    page = text(template.body["Outputs"]["Console"]["Value"])
    assert page == f"{text(template.body['Outputs']['Url']['Value'])}/console/"
    assert ([text(url) for url in client["CallbackURLs"]], [text(url) for url in client["LogoutURLs"]]) == (
        [page],
        [page],
    )
    assert client["GenerateSecret"] is False
    assert (client["AllowedOAuthFlows"], client["AllowedOAuthFlowsUserPoolClient"]) == (["code"], True)
    assert client["SupportedIdentityProviders"] == ["COGNITO"]
    assert "ALLOW_ADMIN_USER_PASSWORD_AUTH" in client["ExplicitAuthFlows"], "the two commands of a sign-in need it"


def test_client_of_the_console_asks_for_the_scope_that_gives_the_tenant(template: Template) -> None:
    """With a second scope, Cognito's ID token has only the claims of these scopes."""
    assert template.one("AWS::Cognito::UserPoolClient")["AllowedOAuthScopes"] == ["openid"]
    assert told(template, "api")["PANTHEON_CONSOLE_SCOPE"] == "openid"


def test_domain_of_the_login_has_the_stage_and_the_account(template: Template, stage: Stage) -> None:
    (domain, login), *others = template.resources("AWS::Cognito::UserPoolDomain").items()
    assert others == []
    assert text(login["Domain"]) == f"pantheon-{stage.name}-<AWS::AccountId>"
    assert login["ManagedLoginVersion"] == 2
    (client,) = template.resources("AWS::Cognito::UserPoolClient")
    branding = template.one("AWS::Cognito::ManagedLoginBranding")
    assert (text(branding["ClientId"]), branding["UseCognitoProvidedValues"]) == (f"<{client}>", True)
    api, base = told(template, "api"), f"https://<{domain}>.auth.{stage.region}.amazoncognito.com"
    assert api["PANTHEON_CONSOLE_ISSUER"] == told(template, "authorizer")["PANTHEON_JWT_ISSUER"]
    assert api["PANTHEON_CONSOLE_CLIENT_ID"] == told(template, "authorizer")["PANTHEON_JWT_AUDIENCE"] == f"<{client}>"
    assert api["PANTHEON_CONSOLE_AUTHORIZATION_ENDPOINT"] == f"{base}/oauth2/authorize"
    assert api["PANTHEON_CONSOLE_TOKEN_ENDPOINT"] == f"{base}/oauth2/token"
    assert api["PANTHEON_CONSOLE_END_SESSION_ENDPOINT"] == f"{base}/logout"


def test_client_of_the_pool_makes_no_cycle(template: Template) -> None:
    """The client refers to the API for the console's address, and the API's authorizer to the client."""
    resources, seen, todo = (
        template.body["Resources"],
        set[str](),
        list(template.resources("AWS::Cognito::UserPoolClient")),
    )
    (client,) = todo
    while todo:
        found = set(re.findall(r"'(?:Ref|Fn::GetAtt)': \[?'(\w+)'", str(resources[todo.pop()]))) & resources.keys()
        todo += found - seen
        seen |= found
    assert client not in seen
    assert {resources[name]["Type"] for name in seen} == {"AWS::Cognito::UserPool", "AWS::ApiGateway::RestApi"}


def test_console_gets_the_client_of_another_issuer(own_issuer: Template) -> None:
    api = told(own_issuer, "api")
    named = {name: value for name, value in api.items() if name.startswith("PANTHEON_CONSOLE_")}
    assert named == {
        "PANTHEON_CONSOLE_ISSUER": "https://issuer.example.org",
        "PANTHEON_CONSOLE_CLIENT_ID": "council",
        "PANTHEON_CONSOLE_SCOPE": "openid email",
    }


@pytest.mark.parametrize("audience", [None, "other"])
def test_stage_refuses_a_client_whose_tokens_would_be_refused(audience: str | None) -> None:
    issuer = None if audience is None else "https://issuer.example.org"
    with pytest.raises(ValueError, match="audience"):
        replace(DEV, issuer=issuer, audience=audience, console_client=ConsoleClient("council"))


def test_roles_are_groups(template: Template, stage: Stage) -> None:
    groups = {group["GroupName"] for group in template.resources("AWS::Cognito::UserPoolGroup").values()}
    assert groups == {"member", "admin", stage.operator_role}
    assert stage.operator_role == "pantheon:operator"


def test_output_has_the_two_commands_of_a_sign_in(template: Template) -> None:
    how = text(template.body["Outputs"]["Token"]["Value"])
    first, second = how.removeprefix("1. ").split(" 2. ")
    assert first.startswith("aws cognito-idp admin-initiate-auth ")
    assert first.endswith("--query Session --output text")
    assert second.startswith("aws cognito-idp admin-respond-to-auth-challenge ")
    assert "--challenge-name SOFTWARE_TOKEN_MFA " in second
    assert second.endswith("--query AuthenticationResult.IdToken --output text")


def test_authorizer_gets_the_claims_of_the_pool(template: Template, stage: Stage) -> None:
    authorizer = told(template, "authorizer")
    assert authorizer["PANTHEON_TENANT_CLAIM"] == "custom:tenant_id"
    assert authorizer["PANTHEON_ROLES_CLAIM"] == "cognito:groups"
    assert authorizer["PANTHEON_OPERATOR_ROLE"] == stage.operator_role
    assert authorizer["PANTHEON_TENANT_OF_ONE"] == "false"
    assert authorizer["PANTHEON_JWT_ISSUER"] == told(template, "jwks")["PANTHEON_JWT_ISSUER"]


def test_stage_with_another_issuer_has_its_claims_and_no_pool(own_issuer: Template) -> None:
    authorizer = told(own_issuer, "authorizer")
    assert authorizer["PANTHEON_JWT_ISSUER"] == "https://issuer.example.org"
    assert authorizer["PANTHEON_JWT_AUDIENCE"] == "council"
    assert authorizer["PANTHEON_TENANT_CLAIM"] == "org"
    assert authorizer["PANTHEON_ROLES_CLAIM"] == "groups"
    assert authorizer["PANTHEON_TENANT_OF_ONE"] == "true"
    assert {told(own_issuer, name)["PANTHEON_OPERATOR_ROLE"] for name in ("authorizer", "api", "admin")} == {"root"}
    assert own_issuer.resources("AWS::Cognito::UserPool") == {}


def test_document_of_keys_is_private(template: Template, stage: Stage) -> None:
    (bucket,) = template.all("AWS::S3::Bucket").values()
    assert set(bucket["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["Properties"]["VersioningConfiguration"] == {"Status": "Enabled"}
    (rule,) = bucket["Properties"]["LifecycleConfiguration"]["Rules"]
    assert "ExpirationInDays" not in rule, "keys must outlast an issuer that cannot be reached"
    assert rule["NoncurrentVersionExpiration"]["NoncurrentDays"] == 7
    (policy,) = template.resources("AWS::S3::BucketPolicy").values()
    only_tls, *emptying = policy["PolicyDocument"]["Statement"]
    assert (only_tls["Effect"], only_tls["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    # The CDK's function, which empties the bucket before CloudFormation deletes it. It reads no object.
    assert len(emptying) == int(not stage.protected)
    for one in emptying:
        assert text(one["Principal"]["AWS"]).startswith("<CustomS3AutoDeleteObjects")
        assert set(one["Action"]) == {"s3:PutBucketPolicy", "s3:GetBucket*", "s3:List*", "s3:DeleteObject*"}


def test_both_functions_that_use_the_document_of_keys_name_the_same_one(template: Template) -> None:
    (bucket,) = template.resources("AWS::S3::Bucket")
    urls = {name: told(template, name).get("PANTHEON_JWKS_URL") for name in template.functions()}
    assert {name for name, url in urls.items() if url} == {"authorizer", "jwks"}
    assert set(urls.values()) == {None, f"s3://<{bucket}>/jwks.json"}
