"""The settings of the console's sign-in. Only the function that serves the console reads them."""

from functools import cache
from typing import Annotated, Self

from pydantic import Field, model_validator

from shared.settings import Environment, read

# An address that the console's page opens. Its origin becomes part of a header.
WebAddress = Annotated[
    str, Field(pattern=r"^(https://[A-Za-z0-9.-]+|http://(127\.0\.0\.1|localhost))(:[0-9]{1,5})?(/[\x21-\x7e]*)?$")
]


class ConsoleSettings(Environment):
    """The console's sign-in, as the client `console_client_id` of the issuer, with PKCE.

    Without a client, the console takes the token from the link that `pantheon run` prints. A missing endpoint is read
    from the issuer's discovery document. The page reaches only these origins, so an endpoint at another origin must be
    set."""

    console_issuer: WebAddress | None = None
    console_client_id: Annotated[str | None, Field(pattern=r"^[\x21-\x7e]+$")] = None
    console_scope: str = "openid email"
    console_authorization_endpoint: WebAddress | None = None
    console_token_endpoint: WebAddress | None = None
    console_end_session_endpoint: WebAddress | None = None

    @model_validator(mode="after")
    def _names_both(self) -> Self:
        if (self.console_issuer is None) != (self.console_client_id is None):
            raise ValueError("PANTHEON_CONSOLE_ISSUER and PANTHEON_CONSOLE_CLIENT_ID go together")
        return self

    @property
    def origins(self) -> list[str]:
        """Return the origins that the page fetches from, each once."""
        fetched = (self.console_issuer, self.console_token_endpoint)
        return list(dict.fromkeys("/".join(address.split("/")[:3]) for address in fetched if address))


@cache
def console_settings() -> ConsoleSettings:
    """Read the settings once per process. Raises ConfigurationError that names each wrong variable."""
    return read(ConsoleSettings)
