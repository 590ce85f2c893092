"""Ask the authorizer function for the caller, and cache its answer for a minute, as API Gateway does.

An answer applies to all requests with the same Authorization header. Only its policy decides which ones it allows.
"""

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from local.gateway.event import ACCOUNT, API_ID
from local.gateway.pool import InvocationResult, Pool
from shared.names import API_STAGE

AUTHORIZER: Final = "authorizer"
KEPT_S: Final = 60.0
_MOST_ANSWERS: Final = 10_000
_ACTION: Final = "execute-api:Invoke"
# An authorizer's event has no body, and an empty object in place of a function's null.
_COPIED: Final = ("resource", "path", "httpMethod", "headers", "multiValueHeaders", "requestContext")
_OBJECTS: Final = (
    *("queryStringParameters", "multiValueQueryStringParameters"),
    *("pathParameters", "stageVariables"),
)
_PRINTABLE: Final = re.compile(r"[\x20-\x7e]+")


class AuthorizerFailure(Exception):
    """The authorizer gave no answer, or not the answer of a REQUEST authorizer."""


class Refused(Exception):
    """The request is not authorized. `message` and `challenge` are for the client."""

    def __init__(self, message: str = "Unauthorized", challenge: str = "Bearer") -> None:
        super().__init__(message)
        self.message = message
        self.challenge = challenge


@dataclass(frozen=True, slots=True)
class _Answer:
    principal: str
    statements: tuple[Mapping[str, Any], ...]
    context: Mapping[str, str]

    def allows(self, arn: str) -> bool:
        effects = {statement["Effect"] for statement in self.statements if _covers(statement, arn)}
        return effects == {"Allow"}


class Authorizer:
    """Invoke the pool's authorizer function, and keep the answers of the last minute."""

    def __init__(
        self, pool: Pool, *, clock: Callable[[], float] = time.monotonic, most_answers: int = _MOST_ANSWERS
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._most_answers = most_answers
        # The time and the answer, by header. The oldest is first.
        self._answers: OrderedDict[str, tuple[float, _Answer]] = OrderedDict()

    async def authorize(self, header: str, event: Mapping[str, Any]) -> dict[str, Any]:
        """Return the `authorizer` object of the function's event.

        Args:
            header: The value of the Authorization header.
            event: The event of the request's function.

        Raises:
            Refused: The policy does not allow the request.
            AuthorizerFailure: There is no answer. A failure is not cached.
        """
        started = time.monotonic()
        arn = _arn(event)
        answer, latency_ms = self._kept(header), 0
        if answer is None:
            asked = _authorizer_event(event, arn)
            answer = _read(await self._pool.invoke(AUTHORIZER, asked))
            latency_ms = int((time.monotonic() - started) * 1000)
            self._keep(header, answer)
        if not answer.allows(arn):
            # A Deny names its reason. An Allow for other requests has none.
            said = answer.context
            raise Refused(said["reason"], said["challenge"]) if "reason" in said else Refused
        return {**answer.context, "principalId": answer.principal, "integrationLatency": latency_ms}

    def _kept(self, header: str) -> _Answer | None:
        given_at, answer = self._answers.get(header, (0.0, None))
        return answer if answer and self._clock() - given_at < KEPT_S else None

    def _keep(self, header: str, answer: _Answer) -> None:
        self._answers.pop(header, None)
        self._answers[header] = (self._clock(), answer)
        if len(self._answers) > self._most_answers:
            self._answers.popitem(last=False)


def _arn(event: Mapping[str, Any]) -> str:
    path = event["path"].removeprefix("/")
    return f"arn:aws:execute-api:local:{ACCOUNT}:{API_ID}/{API_STAGE}/{event['httpMethod']}/{path}"


def _authorizer_event(event: Mapping[str, Any], arn: str) -> dict[str, Any]:
    copied = {name: event[name] for name in _COPIED}
    return {"type": "REQUEST", "methodArn": arn, **copied, **{name: event[name] or {} for name in _OBJECTS}}


def _read(result: InvocationResult) -> _Answer:
    """Return the authorizer's answer. Raises AuthorizerFailure."""
    if result.status != "succeeded":
        raise AuthorizerFailure(f"The authorizer {result.status.replace('_', ' ')}.")
    match result.payload:
        case {"principalId": str(principal), "policyDocument": {"Statement": list(statements)}, **rest}:
            context = rest.get("context", {})
            if all(map(_is_statement, statements)) and _is_context(context):
                return _Answer(principal, tuple(statements), context)
    raise AuthorizerFailure("The authorizer returned no policy.")


def _is_statement(value: Any) -> bool:
    match value:
        case {"Effect": "Allow" | "Deny", "Action": str() | list(), "Resource": str() | list()}:
            return all(isinstance(pattern, str) for name in ("Action", "Resource") for pattern in _listed(value[name]))
    return False


def _is_context(context: object) -> TypeGuard[dict[str, str]]:
    """Return whether all values are strings. A refusal's strings become a header and a message, so check these."""
    if not isinstance(context, dict) or not all(isinstance(value, str) for value in context.values()):
        return False
    said = [context[name] for name in ("reason", "challenge") if name in context]
    return len(said) in (0, 2) and all(map(_PRINTABLE.fullmatch, said))


def _covers(statement: Mapping[str, Any], arn: str) -> bool:
    return _matches(statement["Action"], _ACTION) and _matches(statement["Resource"], arn)


def _matches(patterns: str | list[str], value: str) -> bool:
    """Return whether a pattern matches. An asterisk stands for any text, a question mark for one character."""
    escaped = (re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".") for pattern in _listed(patterns))
    return any(re.fullmatch(pattern, value, re.DOTALL) for pattern in escaped)


def _listed(patterns: str | list[str]) -> list[str]:
    return [patterns] if isinstance(patterns, str) else patterns
