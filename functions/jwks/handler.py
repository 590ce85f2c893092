"""Lambda entry point of the function that copies the issuer's keys every five minutes.

It runs outside the network, because functions inside cannot reach the issuer. It has no right on the database.
"""

from typing import Any

from functions.start import importing

with importing():
    from shared import telemetry
    from shared.aws.jwks_store import JwksStore
    from shared.identity.issuer import fetch_key_set
    from shared.settings import issuer_settings


def handler(_event: dict[str, Any], context: Any) -> dict[str, int]:
    """Copy the key set. Keep the last copy if the new set has no usable key."""
    telemetry.begin(context.aws_request_id, context)
    values = issuer_settings()
    try:
        document = fetch_key_set(values.jwt_issuer)
        JwksStore(values.jwks_url).write(document)
    except Exception as error:
        telemetry.report("issuer keys not copied", error)
        raise
    telemetry.count_success()
    return {"bytes": len(document)}
