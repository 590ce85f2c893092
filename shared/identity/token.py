"""Verify an issuer's token, and read the caller from its claims.

A token is valid only if a key of the issuer signed it with RS256, for this issuer and audience, and within its time.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

import jwt

from shared.domain.identifier import is_identifier
from shared.identity.key_set import ALGORITHM, KeySet
from shared.settings import AuthorizerSettings

# All headers of a request together may have 10,240 bytes.
MAX_LENGTH: Final = 8192
# The allowed difference of the issuer's clock and ours, in seconds.
SKEW_S: Final = 60
ROLES: Final = ("member", "admin")
# The tenant of a user without one. No token can name it.
_OWN_TENANT: Final = "user:"
# Three parts in base64url without padding, so that a token has one spelling.
_SHAPE: Final = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
_TIMES: Final = ("exp", "nbf", "iat")
_REASONS: Final[tuple[tuple[type[jwt.PyJWTError], str], ...]] = (
    (jwt.ExpiredSignatureError, "The token has expired."),
    (jwt.ImmatureSignatureError, "The token is not valid yet."),
    (jwt.InvalidIssuerError, "The token is from another issuer."),
    (jwt.InvalidAudienceError, "The token is for another audience."),
    (jwt.InvalidSignatureError, "The signature of the token is wrong."),
    (jwt.MissingRequiredClaimError, "The token lacks one of the claims exp, iss, aud and sub."),
    (jwt.InvalidAlgorithmError, "The token must be signed with RS256."),
    (jwt.exceptions.InvalidSubjectError, "The token names no user."),
)


class InvalidToken(Exception):
    """The credential is refused. The text is for the client, in ASCII without quotes."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The caller. `key_id` is the id of the API key, if one was used."""

    user: str
    tenant: str
    roles: tuple[str, ...]
    email: str | None = None
    key_id: str | None = None


def verify(token: str, keys: KeySet, values: AuthorizerSettings) -> Identity:
    """Return the identity in `token`. Raises InvalidToken, and KeysUnavailable if no token can be verified."""
    claims = _claims(token, keys, values)
    # Cognito's access tokens name no tenant, and are meant for Cognito itself.
    if claims.get("token_use", "id") != "id":
        raise InvalidToken("The token is not an ID token.")
    if not is_identifier(claims["sub"]):
        raise InvalidToken("The token names no user.")
    email = claims.get("email")
    return Identity(
        user=claims["sub"],
        tenant=_tenant(claims, values),
        roles=_roles(claims.get(values.roles_claim), values.operator_role),
        email=email if isinstance(email, str) and is_identifier(email) else None,
    )


def _claims(token: str, keys: KeySet, values: AuthorizerSettings) -> dict[str, Any]:
    if len(token) > MAX_LENGTH or not _SHAPE.fullmatch(token):
        raise InvalidToken("The token is malformed.")
    try:
        key_id = jwt.get_unverified_header(token).get("kid")
        key = keys.find(key_id) if key_id else None
        if key is None:
            raise InvalidToken("The token is signed by an unknown key.")
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            issuer=values.jwt_issuer,
            audience=values.jwt_audience,
            leeway=SKEW_S,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )
    except jwt.PyJWTError as error:
        raise InvalidToken(_reason(error)) from error
    except (ValueError, RecursionError) as error:
        raise InvalidToken("The token is malformed.") from error
    # PyJWT accepts true and "1" as a time.
    if any(type(claims[name]) not in (int, float) for name in _TIMES if name in claims):
        raise InvalidToken("A time in the token is not a number.")
    return claims


def _reason(error: jwt.PyJWTError) -> str:
    return next((reason for kind, reason in _REASONS if isinstance(error, kind)), "The token is malformed.")


def _tenant(claims: dict[str, Any], values: AuthorizerSettings) -> str:
    tenant = claims.get(values.tenant_claim)
    if tenant in (None, "") and values.tenant_of_one:
        own = f"{_OWN_TENANT}{claims['sub']}"
        if not is_identifier(own):
            raise InvalidToken("The name of the user is too long.")
        return own
    if not isinstance(tenant, str) or not is_identifier(tenant) or tenant.startswith(_OWN_TENANT):
        raise InvalidToken("The token names no tenant.")
    return tenant


def _roles(claim: object, operator_role: str) -> tuple[str, ...]:
    """Return the known roles of a JSON list, else "member"."""
    known = (*ROLES, operator_role)
    named = claim if isinstance(claim, list) else []
    return tuple(dict.fromkeys(role for role in named if isinstance(role, str) and role in known)) or ("member",)
