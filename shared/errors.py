"""The errors that Pantheon answers with, each with its HTTP status and stable `code`.

`functions/problems.py` writes them as problem+json. No route catches one.

    PantheonError
    ├── ConfigurationError       500 misconfigured
    ├── InvalidRequest           422 invalid_request
    │   ├── InvalidMessage       422 invalid_message
    │   ├── UnknownAgent         422 unknown_agent
    │   ├── UnknownCouncil       422 unknown_council
    │   ├── UnknownGraph         422 unknown_graph
    │   ├── NoAgent              422 no_agent
    │   ├── NoChair              422 no_chair
    │   ├── RosterRefused        422 roster_refused
    │   ├── IdempotencyKeyReused 422 idempotency_key_reused
    │   ├── TurnLimitExceeded    422 turn_limit_exceeded
    │   ├── QuotaExceeded        422 quota_exceeded
    │   └── AboveCap             422 budget_above_cap
    ├── Unauthorized             401 unauthorized
    ├── Forbidden                403 forbidden
    ├── NotFound                 404 not_found
    ├── AgentExists              409 agent_exists
    ├── KeyExists                409 key_exists
    ├── Unsupported              400 unsupported
    ├── UnknownModel             404 unknown_model
    ├── VersionMismatch          412 version_mismatch
    ├── TurnConflict             409 turn_conflict
    ├── TurnEnded                409 turn_ended
    ├── SessionDeleted           410 session_deleted
    ├── BudgetExceeded           402 budget_exceeded
    ├── RateLimited              429 rate_limited
    │   └── TooManyActiveTurns   429 too_many_active_turns
    ├── DatabaseUnavailable      503 database_unavailable
    │   └── JournalUnavailable   503 journal_unavailable
    └── PublishFailed            500 publish_failed
"""

from typing import ClassVar


class PantheonError(Exception):
    """An error with a text for the caller."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"

    def __init__(self, detail: str | None = None, **extra: object) -> None:
        """Make the error. `detail` defaults to the class's docstring. `extra` are members of the problem document."""
        self.detail = detail or (type(self).__doc__ or "").strip()
        self.extra = extra
        super().__init__(self.detail)

    @property
    def headers(self) -> dict[str, str]:
        return {}


class ConfigurationError(PantheonError):
    """The deployment's settings are incomplete or wrong."""

    code = "misconfigured"


class InvalidRequest(PantheonError):
    """The request does not have the form that this call requires."""

    status = 422
    code = "invalid_request"


class InvalidMessage(InvalidRequest):
    """The message is empty, too long, or holds characters that cannot be stored."""

    code = "invalid_message"


class UnknownAgent(InvalidRequest):
    """An agent key of the request is unknown."""

    code = "unknown_agent"


class UnknownCouncil(InvalidRequest):
    """A council key of the request is unknown."""

    code = "unknown_council"


class UnknownGraph(InvalidRequest):
    """The request names a graph that this deployment does not have."""

    code = "unknown_graph"


class NoAgent(InvalidRequest):
    """No agent of the session's roster is enabled and has a model alias of this deployment."""

    code = "no_agent"


class NoChair(InvalidRequest):
    """The chair of this session is disabled, deleted, or has a model alias that this deployment does not have."""

    code = "no_chair"


class RosterRefused(InvalidRequest):
    """The turn's mode cannot work with the enabled agents of this session."""

    code = "roster_refused"


class IdempotencyKeyReused(InvalidRequest):
    """This Idempotency-Key was used before with another body or in another session."""

    code = "idempotency_key_reused"


class TurnLimitExceeded(InvalidRequest):
    """The first call alone exceeds a limit of one turn."""

    code = "turn_limit_exceeded"


class QuotaExceeded(InvalidRequest):
    """The tenant has reached the limit for these objects. Delete one first."""

    code = "quota_exceeded"


class AboveCap(InvalidRequest):
    """The limit is above the cap that the operator of this deployment set."""

    code = "budget_above_cap"


class Unauthorized(PantheonError):
    """The token does not identify the caller."""

    status = 401
    code = "unauthorized"


class Forbidden(PantheonError):
    """The caller does not have the role that this call requires."""

    status = 403
    code = "forbidden"


class NotFound(PantheonError):
    """There is nothing at this address."""

    status = 404
    code = "not_found"


class AgentExists(PantheonError):
    """An agent with this key exists already; PUT replaces it."""

    status = 409
    code = "agent_exists"


class KeyExists(PantheonError):
    """An agent and a council cannot have the same key."""

    status = 409
    code = "key_exists"


class Unsupported(PantheonError):
    """The request has an option that this call does not support."""

    status = 400
    code = "unsupported"


class UnknownModel(PantheonError):
    """There is no enabled agent, no council and no alias with this name."""

    status = 404
    code = "unknown_model"


class VersionMismatch(PantheonError):
    """The header If-Match does not name the current version."""

    status = 412
    code = "version_mismatch"


class TurnConflict(PantheonError):
    """Another turn of this session is active."""

    status = 409
    code = "turn_conflict"

    def __init__(self, active_turn_id: str, retry_after_s: int) -> None:
        super().__init__(active_turn_id=active_turn_id)
        self.retry_after_s = retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.retry_after_s)}


class TurnEnded(PantheonError):
    """The turn has ended."""

    status = 409
    code = "turn_ended"


class SessionDeleted(PantheonError):
    """The session that this turn belonged to was deleted."""

    status = 410
    code = "session_deleted"


class BudgetExceeded(PantheonError):
    """This month's budget does not cover the call."""

    status = 402
    code = "budget_exceeded"


class RateLimited(PantheonError):
    """The tenant posted too many turns within a minute. Wait for the seconds of Retry-After."""

    status = 429
    code = "rate_limited"

    def __init__(self, retry_after_s: int) -> None:
        super().__init__()
        self.retry_after_s = retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.retry_after_s)}


class TooManyActiveTurns(RateLimited):
    """The tenant has the most active turns that it may have. Post the next turn when one has ended."""

    code = "too_many_active_turns"


class DatabaseUnavailable(PantheonError):
    """The database cannot be reached or cannot answer."""

    status = 503
    code = "database_unavailable"


class JournalUnavailable(DatabaseUnavailable):
    """The journal cannot be written, and a turn never runs unprotected."""

    code = "journal_unavailable"


class PublishFailed(PantheonError):
    """The turn could not be published. Its answers are in the journal, and the worker will finish it."""

    code = "publish_failed"
