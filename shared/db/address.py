"""Parse a database URL: a PostgreSQL URL with two parameters of our own.

`iam=REGION`: the password is a token that is signed for each connection. `prepare=off`: statements are not prepared,
because a proxy would pin its client to one connection.
"""

from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from shared.aws.database_token import database_token

_PORT = 5432


@dataclass(frozen=True)
class Address:
    """`url` is libpq's own, without our parameters. `region` is the region of IAM tokens, None for a plain password."""

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
        """Return a token for a connection that is made now, None if the URL has the password. Raises
        CredentialsUnavailable."""
        if self.region is None:
            return None
        parts = urlsplit(self.url)
        return database_token(parts.hostname or "", parts.port or _PORT, unquote(parts.username or ""), self.region)
