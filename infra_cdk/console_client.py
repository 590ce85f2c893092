"""Define the client by which the console signs users in at a stage's issuer."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from shared.console_settings import ConsoleSettings
from shared.names import Env


@dataclass(frozen=True)
class ConsoleClient:
    """A public client for codes with PKCE, without a secret. Its redirect URI is `<url>/console/`.

    `client_id` must be the stage's audience, so that the stage accepts its ID tokens. A missing endpoint is read from
    the issuer's discovery document, and must have the issuer's origin."""

    client_id: str
    scope: str = "openid email"
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    end_session_endpoint: str | None = None

    def check(self, stage: str, issuer: str | None, audience: str | None) -> None:
        """Raise ValueError with one line unless the issuer's tokens and the function accept this client."""
        if issuer is None or self.client_id != audience:
            raise ValueError(f"Stage {stage}: the console's tokens name its client, which must be the audience.")
        try:
            ConsoleSettings.model_validate(self.environment(issuer))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            name = str(first["loc"][0]).removeprefix("PANTHEON_").lower().replace("console_", "console_client.")
            said = first["msg"].replace("String should", "must")
            raise ValueError(f"Stage {stage}: {name} {said}") from None

    def environment(self, issuer: str) -> Mapping[str, str]:
        """Return the environment of the function that serves the console."""
        told = {
            Env.CONSOLE_ISSUER: issuer,
            Env.CONSOLE_CLIENT_ID: self.client_id,
            Env.CONSOLE_SCOPE: self.scope,
            Env.CONSOLE_AUTHORIZATION_ENDPOINT: self.authorization_endpoint,
            Env.CONSOLE_TOKEN_ENDPOINT: self.token_endpoint,
            Env.CONSOLE_END_SESSION_ENDPOINT: self.end_session_endpoint,
        }
        return {str(name): value for name, value in told.items() if value is not None}
