"""Who may call: the tokens of an issuer that is given, or of a Cognito pool that is made here.

Clients send the pool's *ID token*: it carries the tenant. An access token carries none, and its caller is alone.
"""

from dataclasses import dataclass
from typing import Final

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_cognito as cognito
from constructs import Construct

TENANT_CLAIM: Final = "custom:tenant_id"
ROLES_CLAIM: Final = "cognito:groups"
_GROUPS: Final = {
    "member": "Uses the council.",
    "admin": "Sets the budget of a tenant.",
    "operator": "Sees and caps every tenant.",
}


@dataclass(frozen=True)
class Issuer:
    """Whose tokens are accepted, and which of their claims say who is calling. `how` tells people to get one."""

    url: str
    audience: str
    tenant_claim: str
    roles_claim: str
    how: str


def given(url: str, audience: str) -> Issuer:
    return Issuer(url, audience, "tenant_id", "roles", f"Ask {url} for a token with audience {audience}.")


class Pool(Construct):
    """Users who sign in with a password. Nobody signs up: an administrator makes users, and gives each a tenant."""

    def __init__(self, scope: Construct, id: str, *, protected: bool) -> None:
        super().__init__(scope, id)
        pool = cognito.UserPool(
            self,
            "Pool",
            self_sign_up_enabled=False,
            sign_in_aliases=cognito.SignInAliases(email=True),
            custom_attributes={"tenant_id": cognito.StringAttribute(min_len=1, max_len=255, mutable=True)},
            password_policy=cognito.PasswordPolicy(
                min_length=12, require_digits=True, require_lowercase=True, require_symbols=True, require_uppercase=True
            ),
            mfa=cognito.Mfa.OPTIONAL,
            mfa_second_factor=cognito.MfaSecondFactor(sms=False, otp=True),
            account_recovery=cognito.AccountRecovery.EMAIL_ONLY,
            deletion_protection=protected,
            removal_policy=RemovalPolicy.RETAIN if protected else RemovalPolicy.DESTROY,
        )
        client = pool.add_client(
            "Client",
            auth_flows=cognito.AuthFlow(user_srp=True, admin_user_password=True),
            disable_o_auth=True,
            prevent_user_existence_errors=True,
            # No user may write the tenant, or he could choose whose he is.
            write_attributes=cognito.ClientAttributes().with_standard_attributes(given_name=True, family_name=True),
            id_token_validity=Duration.hours(1),
            access_token_validity=Duration.hours(1),
        )
        for name, description in _GROUPS.items():
            pool.add_group(name.title(), group_name=name, description=description)
        self.pool = pool
        self.issuer = Issuer(
            pool.user_pool_provider_url,
            client.user_pool_client_id,
            TENANT_CLAIM,
            ROLES_CLAIM,
            f"aws cognito-idp admin-initiate-auth --region {Stack.of(self).region} --user-pool-id {pool.user_pool_id}"
            f" --client-id {client.user_pool_client_id} --auth-flow ADMIN_USER_PASSWORD_AUTH"
            " --auth-parameters USERNAME=…,PASSWORD=… --query AuthenticationResult.IdToken --output text",
        )
