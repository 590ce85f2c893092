"""Lambda entry point of the authorizer, which API Gateway invokes once a minute for each credential.

A refusal is a Deny with its reason. If the authorizer cannot decide, it raises, because API Gateway would cache a Deny.
"""

import json
from functools import cache
from typing import Any

from functions.start import importing

with importing():
    from functions.authorizer.credentials import Authority
    from shared import telemetry
    from shared.aws.jwks_store import JwksStore
    from shared.db.engine import key_database
    from shared.identity.key_set import KeySet
    from shared.identity.token import Identity, InvalidToken
    from shared.settings import authorizer_settings


@cache
def authority() -> Authority:
    """Return the authority of this process. It reads keys and connects on first use."""
    values = authorizer_settings()
    return Authority(values, KeySet(JwksStore(values.jwks_url).read), key_database())


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Return the policy for a REQUEST event, with the context that describes the caller to the functions."""
    telemetry.begin(event["requestContext"]["requestId"], context)
    try:
        identity = authority().identify(event)
    except InvalidToken as refusal:
        return _policy(event, "Deny", "anonymous", _refused(str(refusal)))
    except Exception as error:
        telemetry.report("caller not identified", error)
        raise
    return _policy(event, "Allow", identity.user, _caller(identity))


def _policy(event: dict[str, Any], effect: str, principal: str, told: dict[str, str]) -> dict[str, Any]:
    """Return a policy for the whole stage, because API Gateway uses a cached policy for every route."""
    api, stage = event["methodArn"].split("/")[:2]
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": f"{api}/{stage}/*"}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    return {"principalId": principal, "policyDocument": document, "context": told}


def _caller(identity: Identity) -> dict[str, str]:
    return {
        "user": identity.user,
        "tenant": identity.tenant,
        "roles": json.dumps(identity.roles),
        "key_id": identity.key_id or "",
        "email": identity.email or "",
    }


def _refused(reason: str) -> dict[str, str]:
    challenge = f'Bearer error="invalid_token", error_description="{reason}"'
    return {"reason": reason, "challenge": challenge}
