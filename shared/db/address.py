"""Where the database is, and how one signs in there: a PostgreSQL URL with two parameters of ours in it.

`iam=REGION`: the password is a token that is signed when the connection is made. `prepare=off`: no statement is
prepared, since a proxy would tie its client to one connection for it.
"""

from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from shared.aws.database_token import database_token

_PORT = 5432


@dataclass(frozen=True)
class Address:
    """`url` is libpq's own, without our parameters; `region` is where the server takes tokens, if it does."""

    url: str
    region: str | None
    prepares: bool

    @classmethod
    def parse(cls, url: str) -> Self:
        if "iam=" not in url and "prepare=" not in url:
            return cls(url, None, prepares=True)
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query))
        region, prepare = query.pop("iam", None), query.pop("prepare", "on")
        plain = urlunsplit(parts._replace(query=urlencode(query, safe="/")))
        return cls(plain, region, prepares=prepare != "off")

    def password(self) -> str | None:
        """A token that is good for a connection that is made now; None where the URL says it all. Raises
        CredentialsUnavailable."""
        if self.region is None:
            return None
        parts = urlsplit(self.url)
        return database_token(parts.hostname or "", parts.port or _PORT, unquote(parts.username or ""), self.region)
