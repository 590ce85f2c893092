"""The event of the gateway that a release was deployed behind: a REST API's, or the HTTP API's of releases before it.

The drill makes events of the REST API. A release without an authorizer of its own gets the same request as the HTTP
API would have sent it, with the claims that its JWT authorizer would have verified.
"""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from shared.names import API_STAGE

# As the older release's environment says.
ISSUER, AUDIENCE = "issuer", "audience"


def event_for(folder: Path, event: dict[str, Any]) -> dict[str, Any]:
    """Return `event` as the release in `folder` gets it. Events of queues and clocks are the same for all releases."""
    if "httpMethod" not in event or (folder / "functions" / "authorizer").is_dir():
        return event
    return of_http_api(event)


def of_http_api(event: dict[str, Any]) -> dict[str, Any]:
    """Return a REST API's event in payload format 2.0."""
    context = event["requestContext"]
    path, caller = context["path"].removeprefix(f"/{API_STAGE}"), context["authorizer"]
    roles = f"[{' '.join(json.loads(caller['roles']))}]"
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": caller["user"], "tenant_id": caller["tenant"], "roles": roles}
    http = {"method": event["httpMethod"], "path": path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7"}
    return {
        "version": "2.0",
        "routeKey": f"{event['httpMethod']} {event['resource']}",
        "rawPath": path,
        "rawQueryString": urlencode(event["multiValueQueryStringParameters"] or {}, doseq=True),
        "headers": {name.lower(): value for name, value in event["headers"].items()},
        "pathParameters": event["pathParameters"],
        "requestContext": {
            "requestId": context["requestId"],
            "stage": "$default",
            "authorizer": {"jwt": {"claims": claims, "scopes": None}},
            "http": {**http, "userAgent": ""},
        },
        "body": event["body"],
        "isBase64Encoded": False,
    }
