"""Define the line that the REST API logs for each request.

Each line is valid JSON, because no variable in it can hold a quote, a backslash or a control character. So it has the
resource's path instead of the request's, and no text of an error. It has no client address and no token.
"""

import json
from typing import Final

FIELDS: Final = {
    # Functions log it as the correlation id. API Gateway replaces a client's id that is no UUID.
    "request_id": "$context.requestId",
    "gateway_id": "$context.extendedRequestId",
    "time": "$context.requestTime",
    "method": "$context.httpMethod",
    "resource": "$context.resourcePath",
    "status": "$context.status",
    "error": "$context.error.responseType",
    "bytes": "$context.responseLength",
    "latency_ms": "$context.responseLatency",
    "authorizer_status": "$context.authorizer.status",
    "authorizer_ms": "$context.authorizer.latency",
    # The status of Lambda's API, then the status that the function returned.
    "lambda_status": "$context.integrationStatus",
    "function_status": "$context.integration.status",
    # The times of the function's first and last byte. A streamed answer may take minutes.
    "first_content_ms": "$context.integration.timeToFirstContent",
    "integration_ms": "$context.integrationLatency",
    "web_acl": "$context.wafResponseCode",
}
LINE: Final = json.dumps(FIELDS)
