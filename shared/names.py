"""The names that functions, stack and local run share: environment variables, metrics, dimensions, roles, routes.

This module has no logic and imports only the standard library, because the stack reads it too.
"""

from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

SERVICE: Final = "pantheon"
# pyproject.toml reads it from this line.
VERSION: Final = "0.2.0"
METRICS_NAMESPACE: Final = "Pantheon"
API_PREFIX: Final = "/api/v1"
# The files of the console and of the API's reference page.
CONSOLE_FILES: Final = "/console/{proxy+}"
DOCS_FILES: Final = "/docs/{proxy+}"
# How often the queue delivers a message before it becomes a dead letter. A delivery to a busy worker counts too.
MAX_RECEIVES: Final = 5


class Route(NamedTuple):
    """A route of the REST API: API Gateway's resource path, a method of HTTP or ANY, and the function that answers.

    An open route needs no token. A streamed route may take minutes."""

    method: str
    path: str
    function: str
    is_open: bool = False
    is_streamed: bool = False


# The stack and the local gateway serve these routes. Other paths are 404. The most specific path wins, then the method.
ROUTES: Final = (
    Route("POST", f"{API_PREFIX}/sessions/{{session_id}}/turns", "turns", is_streamed=True),
    Route("POST", "/v1/chat/completions", "turns", is_streamed=True),
    Route("ANY", "/v1/{proxy+}", "api"),
    Route("ANY", "/mcp", "turns", is_streamed=True),
    Route("ANY", f"{API_PREFIX}/admin/{{proxy+}}", "admin"),
    Route("ANY", f"{API_PREFIX}/{{proxy+}}", "api"),
    Route("GET", f"{API_PREFIX}/health", "api", is_open=True),
    Route("GET", f"{API_PREFIX}/openapi.json", "api", is_open=True),
    Route("GET", "/openapi.json", "api", is_open=True),
    *(
        Route(method, path, "api", is_open=True)
        for path in ("/", "/console", CONSOLE_FILES, "/docs", DOCS_FILES)
        for method in ("GET", "HEAD")
    ),
)
# API Gateway compresses buffered answers from this size in bytes. A smaller one fits into one packet anyway.
COMPRESSED_FROM: Final = 1400
# The stage of the REST API. Without a custom domain, every path begins with it.
API_STAGE: Final = "live"
# The authorizer's context for functions, as strings. `roles` is a JSON list. `key_id` and `email` may be empty. A
# refusal has a `reason` in words and a `challenge`, the value of WWW-Authenticate.
CALLER_FIELDS: Final = ("user", "tenant", "roles", "key_id", "email")
# CORS: the headers that a page of another origin may send, and below those that it may read.
CORS_REQUEST_HEADERS: Final = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "Last-Event-ID",
    "Prefer",
    # Names of conversations.
    *("X-Conversation-Id", "X-OpenWebUI-Chat-Id", "X-Session-Id", "X-Chat-Id"),
    # MCP's versions and methods.
    *("MCP-Protocol-Version", "Mcp-Session-Id", "Mcp-Method", "Mcp-Name"),
    # OpenAI's SDK sends these from a browser.
    *("OpenAI-Organization", "OpenAI-Project", "X-Stainless-Arch", "X-Stainless-Helper-Method", "X-Stainless-Lang"),
    *("X-Stainless-OS", "X-Stainless-Package-Version", "X-Stainless-Retry-Count", "X-Stainless-Runtime"),
    *("X-Stainless-Runtime-Version", "X-Stainless-Timeout"),
)
CORS_RESPONSE_HEADERS: Final = ("Location", "Link", "Retry-After", "ETag", "Idempotency-Replayed", "X-Should-Retry")


class Env(StrEnum):
    """Environment variables of the functions. `pantheon run` sets those that are not the user's."""

    STAGE = "PANTHEON_STAGE"
    METRICS = "PANTHEON_METRICS"
    APP_DATABASE_URL = "PANTHEON_APP_DATABASE_URL"
    OPS_DATABASE_URL = "PANTHEON_OPS_DATABASE_URL"
    OPERATOR_DATABASE_URL = "PANTHEON_OPERATOR_DATABASE_URL"
    AUTH_DATABASE_URL = "PANTHEON_AUTH_DATABASE_URL"
    INVOCATION_LOG = "PANTHEON_INVOCATION_LOG"
    # Only the migration gets these, so nothing else can connect as the owner.
    OWNER_DATABASE_URL = "PANTHEON_OWNER_DATABASE_URL"
    OWNER_SECRET_ARN = "PANTHEON_OWNER_SECRET_ARN"  # noqa: S105 the name of a variable
    QUEUE_URL = "PANTHEON_QUEUE_URL"
    GRAPHS_QUEUE_URL = "PANTHEON_GRAPHS_QUEUE_URL"
    JWT_ISSUER = "PANTHEON_JWT_ISSUER"
    JWT_AUDIENCE = "PANTHEON_JWT_AUDIENCE"
    JWKS_URL = "PANTHEON_JWKS_URL"
    TENANT_CLAIM = "PANTHEON_TENANT_CLAIM"
    ROLES_CLAIM = "PANTHEON_ROLES_CLAIM"
    OPERATOR_ROLE = "PANTHEON_OPERATOR_ROLE"
    TENANT_OF_ONE = "PANTHEON_TENANT_OF_ONE"
    CORS_ORIGINS = "PANTHEON_CORS_ORIGINS"
    CONSOLE_ISSUER = "PANTHEON_CONSOLE_ISSUER"
    CONSOLE_CLIENT_ID = "PANTHEON_CONSOLE_CLIENT_ID"
    CONSOLE_SCOPE = "PANTHEON_CONSOLE_SCOPE"
    CONSOLE_AUTHORIZATION_ENDPOINT = "PANTHEON_CONSOLE_AUTHORIZATION_ENDPOINT"
    CONSOLE_TOKEN_ENDPOINT = "PANTHEON_CONSOLE_TOKEN_ENDPOINT"  # noqa: S105 the name of a variable
    CONSOLE_END_SESSION_ENDPOINT = "PANTHEON_CONSOLE_END_SESSION_ENDPOINT"
    CATALOG = "PANTHEON_CATALOG"
    LLM_PROVIDER = "PANTHEON_LLM_PROVIDER"
    LLM_BASE_URL = "PANTHEON_LLM_BASE_URL"
    LLM_API_KEY = "PANTHEON_LLM_API_KEY"
    # `pantheon run` sets these for the functions.
    LOCAL_MODEL_URL = "PANTHEON_LOCAL_MODEL_URL"
    LOCAL_MODEL_KEY = "PANTHEON_LOCAL_MODEL_KEY"
    TURN_SECONDS = "PANTHEON_TURN_SECONDS"
    MAX_CALL_S = "PANTHEON_MAX_CALL_S"
    ROUTING_ALIAS = "PANTHEON_ROUTING_ALIAS"
    ROUTING_MAX_TOKENS = "PANTHEON_ROUTING_MAX_TOKENS"
    ROUTING_MAX_AGENTS = "PANTHEON_ROUTING_MAX_AGENTS"
    SUMMARY_ALIAS = "PANTHEON_SUMMARY_ALIAS"
    SUMMARY_MAX_TOKENS = "PANTHEON_SUMMARY_MAX_TOKENS"
    SUMMARY_AFTER_TURNS = "PANTHEON_SUMMARY_AFTER_TURNS"
    SUMMARY_AFTER_TOKENS = "PANTHEON_SUMMARY_AFTER_TOKENS"
    TENANT_ACTIVE_TURNS = "PANTHEON_TENANT_ACTIVE_TURNS"
    RETENTION_DAYS = "PANTHEON_RETENTION_DAYS"
    IMPLICIT_SESSION_DAYS = "PANTHEON_IMPLICIT_SESSION_DAYS"
    TURN_MAX_CALLS = "PANTHEON_TURN_MAX_CALLS"
    TURN_MAX_TOKENS = "PANTHEON_TURN_MAX_TOKENS"
    TURN_MAX_USD = "PANTHEON_TURN_MAX_USD"
    TURNS_PER_MINUTE = "PANTHEON_TURNS_PER_MINUTE"
    ROSTER = "PANTHEON_ROSTER"
    GRAPHS = "PANTHEON_GRAPHS"
    MAX_AGENTS = "PANTHEON_MAX_AGENTS"
    MAX_SESSIONS = "PANTHEON_MAX_SESSIONS"
    MAX_API_KEYS = "PANTHEON_MAX_API_KEYS"
    DEFAULT_CAP_USD = "PANTHEON_DEFAULT_CAP_USD"
    PLATFORM_ALLOWANCE_USD = "PANTHEON_PLATFORM_ALLOWANCE_USD"


class LocalEnv(StrEnum):
    """Environment variables of the local run."""

    PORT = "PANTHEON_PORT"
    DATABASE_URL = "PANTHEON_DATABASE_URL"
    DATA_DIR = "PANTHEON_DATA_DIR"
    HOSTS = "PANTHEON_HOSTS"


class CliEnv(StrEnum):
    """Environment variables of commands that call a deployment."""

    URL = "PANTHEON_URL"
    TOKEN = "PANTHEON_TOKEN"  # noqa: S105 the name of a variable


class DeployEnv(StrEnum):
    """Environment variables of commands that deploy."""

    STAGES = "PANTHEON_STAGES"


class Role(StrEnum):
    """Database roles. The owner, who migrates, is the user that the deployment made the database with."""

    APP = "pantheon_app"
    # Sweeps and reconciles across tenants.
    OPS = "pantheon_ops"
    # Sets limits and reads usage across tenants, for the operator.
    OPERATOR = "pantheon_operator"
    # Looks up one API key by its hash.
    AUTH = "pantheon_auth"


# Postgres ends a transaction of the role after this time. A role has no other setting. The roll-up depends on it: 15
# minutes after an hour, no transaction can post into that hour.
LONGEST_TRANSACTION: Final = MappingProxyType(
    {Role.APP: "1min", Role.OPS: "10min", Role.OPERATOR: "1min", Role.AUTH: "1min"}
)


class Metric(StrEnum):
    TURNS = "Turns"
    TURN_DURATION = "TurnDuration"
    TURN_OVERHEAD = "TurnOverhead"
    TURN_CONFLICTS = "TurnConflicts"
    CALLS = "Calls"
    CALL_DURATION = "CallDuration"
    INPUT_TOKENS = "InputTokens"
    OUTPUT_TOKENS = "OutputTokens"
    UNKNOWN_CALLS = "UnknownCalls"
    FALLBACK_USED = "FallbackUsed"
    JOURNAL_UNAVAILABLE = "JournalUnavailable"
    UNEXPECTED_ERRORS = "UnexpectedErrors"
    RECONCILED_CALLS = "ReconciledCalls"
    UNJOURNALED_CALLS = "UnjournaledCalls"
    DRIFTED_CALLS = "DriftedCalls"
    UNREADABLE_RECORDS = "UnreadableRecords"
    SUSPENDED_CALLS = "SuspendedCalls"
    ABANDONED_TURNS = "AbandonedTurns"
    UNSENT_TURNS = "UnsentTurns"
    ACTIVE_TURNS = "ActiveTurns"
    DUE_TURNS = "DueTurns"
    OLDEST_ACTIVE_TURN = "OldestActiveTurn"
    BROKEN_INVARIANTS = "BrokenInvariants"
    UNCHECKED_INVARIANTS = "UncheckedInvariants"
    HANDED_OVER_TURNS = "HandedOverTurns"
    MONTH_USD = "MonthToDateUsd"
    MONTH_TOKENS = "MonthToDateTokens"
    MONTH_FORECAST_USD = "MonthForecastUsd"
    HOUR_USD = "HourUsd"
    USUAL_HOUR_USD = "UsualHourUsd"
    SUSPENSE_USD = "SuspenseUsd"
    PLATFORM_BUDGET_USED = "PlatformBudgetUsed"
    LEDGER_DRIFT_USD = "LedgerDriftUsd"
    FAILURES = "Failures"
    SUCCESSFUL_RUNS = "SuccessfulRuns"


class Dimension(StrEnum):
    STATUS = "status"
    FUNCTION = "function"
    MODEL_ALIAS = "model_alias"
    PURPOSE = "purpose"
    COMPONENT = "component"
    ACCOUNT = "account"
    REASON = "reason"
    PROVIDER = "provider"
    TOKEN_CLASS = "token_class"  # noqa: S105 a dimension


# The dimensions of the metrics that alarms read, besides `service`. A stage may emit these series alone.
ALARM_SERIES: Final = MappingProxyType(
    {
        **dict.fromkeys(
            (
                Metric.BROKEN_INVARIANTS,
                Metric.UNJOURNALED_CALLS,
                Metric.OLDEST_ACTIVE_TURN,
                Metric.LEDGER_DRIFT_USD,
                Metric.HOUR_USD,
                Metric.USUAL_HOUR_USD,
                Metric.MONTH_FORECAST_USD,
                Metric.CALLS,
                Metric.UNKNOWN_CALLS,
                Metric.TURN_DURATION,
                Metric.FALLBACK_USED,
                Metric.PLATFORM_BUDGET_USED,
                Metric.UNCHECKED_INVARIANTS,
            ),
            (),
        ),
        Metric.MONTH_USD: (Dimension.ACCOUNT,),
        Metric.FAILURES: (Dimension.FUNCTION,),
        Metric.SUCCESSFUL_RUNS: (Dimension.FUNCTION,),
    }
)
