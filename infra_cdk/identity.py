"""Define the issuer of a stage's tokens: the user's own, or a Cognito pool that the stack makes.

Clients send the pool's ID token, which names the tenant. The authorizer refuses access tokens, which name none.
"""

from dataclasses import dataclass
from typing import Final

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_cognito as cognito
from constructs import Construct

from infra_cdk.console_client import ConsoleClient

TENANT_CLAIM: Final = "custom:tenant_id"
ROLES_CLAIM: Final = "cognito:groups"
# Setting up a second factor takes longer than Cognito's default of three minutes.
_SIGN_IN: Final = Duration.minutes(15)
_SIGNED_IN: Final = Duration.hours(12)


@dataclass(frozen=True)
class Issuer:
    """An issuer of accepted tokens, with its claims for tenant and roles. `how` explains how to get a token.

    `console` signs users of the console in. Without it, users bring a token."""

    url: str
    audience: str
    tenant_claim: str
    roles_claim: str
    how: str
    console: ConsoleClient | None = None


def given(url: str, audience: str, tenant_claim: str, roles_claim: str, console: ConsoleClient | None) -> Issuer:
    return Issuer(url, audience, tenant_claim, roles_claim, f"Ask {url} for a token with audience {audience}.", console)


class Pool(Construct):
    """A pool of users with a password and a second factor. An administrator makes users and sets their tenant."""

    def __init__(self, scope: Construct, id: str, *, prefix: str, operator_role: str, protected: bool) -> None:
        super().__init__(scope, id)
        pool = self._make(protected)
        client = pool.add_client(
            "Client",
            auth_flows=cognito.AuthFlow(user_srp=True, admin_user_password=True),
            # The console is a public client without a secret.
            generate_secret=False,
            o_auth=cognito.OAuthSettings(
                flows=cognito.OAuthFlows(authorization_code_grant=True), scopes=[cognito.OAuthScope.OPENID]
            ),
            supported_identity_providers=[cognito.UserPoolClientIdentityProvider.COGNITO],
            prevent_user_existence_errors=True,
            # Tokens leave out claims that the client may not read.
            read_attributes=_attributes("given_name", "family_name", "email").with_custom_attributes("tenant_id"),
            # A user with the right to write the tenant could choose another tenant.
            write_attributes=_attributes("given_name", "family_name"),
            auth_session_validity=_SIGN_IN,
            id_token_validity=Duration.hours(1),
            access_token_validity=Duration.hours(1),
            refresh_token_validity=_SIGNED_IN,
            enable_token_revocation=True,
        )
        groups = {
            "Member": ("member", "Uses the council."),
            "Admin": ("admin", "Writes agents, makes keys and sets the budget of a tenant."),
            "Operator": (operator_role, "Sees and caps every tenant."),
        }
        for title, (name, description) in groups.items():
            pool.add_group(title, group_name=name, description=description)
        self.pool, self._client = pool, client
        self.issuer = Issuer(
            pool.user_pool_provider_url,
            client.user_pool_client_id,
            TENANT_CLAIM,
            ROLES_CLAIM,
            _how(Stack.of(self).region, pool.user_pool_id, client.user_pool_client_id),
            self._log_in(prefix),
        )

    def lead_back(self, url: str) -> None:
        """Redirect users from the login only to the console at `url`.

        The API's own resource refers to no function, so this reference makes no cycle."""
        cfn = self._client.node.default_child
        assert isinstance(cfn, cognito.CfnUserPoolClient)
        cfn.callback_ur_ls = cfn.logout_ur_ls = [f"{url}/console/"]

    def _log_in(self, prefix: str) -> ConsoleClient:
        """Make the login pages. Cognito shows none without a branding."""
        # The name must be unique in the Region across AWS accounts.
        name = cognito.CognitoDomainOptions(domain_prefix=f"{prefix}-{Stack.of(self).account}")
        version = cognito.ManagedLoginVersion.NEWER_MANAGED_LOGIN
        domain = self.pool.add_domain("Login", cognito_domain=name, managed_login_version=version)
        cognito.CfnManagedLoginBranding(
            self,
            "Branding",
            user_pool_id=self.pool.user_pool_id,
            client_id=self._client.user_pool_client_id,
            use_cognito_provided_values=True,
        )
        login = domain.base_url()
        return ConsoleClient(
            self._client.user_pool_client_id,
            # With a second scope, Cognito omits the tenant's claim.
            scope="openid",
            authorization_endpoint=f"{login}/oauth2/authorize",
            token_endpoint=f"{login}/oauth2/token",
            end_session_endpoint=f"{login}/logout",
        )

    def _make(self, protected: bool) -> cognito.UserPool:
        return cognito.UserPool(
            self,
            "Pool",
            self_sign_up_enabled=False,
            sign_in_aliases=cognito.SignInAliases(email=True),
            custom_attributes={"tenant_id": cognito.StringAttribute(min_len=1, max_len=255, mutable=True)},
            password_policy=cognito.PasswordPolicy(
                min_length=12, require_digits=True, require_lowercase=True, require_symbols=True, require_uppercase=True
            ),
            # Programs use API keys, so every user is a person with a second factor.
            mfa=cognito.Mfa.REQUIRED,
            mfa_second_factor=cognito.MfaSecondFactor(sms=False, otp=True),
            account_recovery=cognito.AccountRecovery.EMAIL_ONLY,
            deletion_protection=protected,
            removal_policy=RemovalPolicy.RETAIN if protected else RemovalPolicy.DESTROY,
        )


def _attributes(*names: str) -> cognito.ClientAttributes:
    return cognito.ClientAttributes().with_standard_attributes(**dict.fromkeys(names, True))


def _how(region: str, pool_id: str, client_id: str) -> str:
    """Return the two commands that sign a user in."""
    first = (
        f"aws cognito-idp admin-initiate-auth --region {region} --user-pool-id {pool_id} --client-id {client_id}"
        " --auth-flow ADMIN_USER_PASSWORD_AUTH --auth-parameters USERNAME=…,PASSWORD=…"
        " --query Session --output text"
    )
    second = (
        f"aws cognito-idp admin-respond-to-auth-challenge --region {region} --user-pool-id {pool_id}"
        f" --client-id {client_id} --challenge-name SOFTWARE_TOKEN_MFA --session SESSION"
        " --challenge-responses USERNAME=…,SOFTWARE_TOKEN_MFA_CODE=…"
        " --query AuthenticationResult.IdToken --output text"
    )
    return f"1. {first} 2. {second}"
