"""Defines the fixtures of unit tests: a function's environment and its log.

Each fixture restores caches and loggers after its test.
"""

import io
import json
import logging
import os
import time
from collections.abc import Iterator

import pytest

from local.gateway.worker import LambdaContext
from shared import telemetry
from shared.aws.queue import queue
from shared.catalog import catalog
from shared.console_settings import console_settings
from shared.db.api.new_tenants import add_roster, template
from shared.db.engine import database, operations_database
from shared.llm.providers import provider
from shared.llm.tokens import token_estimates
from shared.names import Env
from shared.settings import (
    authorizer_settings,
    budget_settings,
    http_settings,
    invocation_log_settings,
    issuer_settings,
    migration_settings,
    operations_settings,
    operator_settings,
    queue_settings,
    quota_settings,
    settings,
    stage_settings,
)
from tests.support.gateway import Handler, LogLines

_ENVIRONMENT = {
    Env.STAGE: "unit",
    # Nobody listens there: a test that reaches for the database fails at once.
    Env.APP_DATABASE_URL: "postgresql://pantheon_app@127.0.0.1:1/none",
    Env.LLM_PROVIDER: "scripted",
}
_CACHES = (
    settings,
    authorizer_settings,
    budget_settings,
    console_settings,
    http_settings,
    issuer_settings,
    operations_settings,
    operator_settings,
    invocation_log_settings,
    migration_settings,
    queue_settings,
    quota_settings,
    stage_settings,
    catalog,
    template,
    add_roster,
    provider,
    database,
    operations_database,
    queue,
    token_estimates,
)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The environment of a function, and no other variable of ours. Change it before the first use of a setting."""
    for name in [name for name in os.environ if name.startswith("PANTHEON_")]:
        monkeypatch.delenv(name)
    for name, value in _ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    for cache in _CACHES:
        cache.cache_clear()
    yield monkeypatch
    for cache in _CACHES:
        cache.cache_clear()


@pytest.fixture
def context() -> LambdaContext:
    return LambdaContext("pantheon-unit", "lambda-request-1", time.monotonic() + 30)


@pytest.fixture
def log_lines(context: LambdaContext) -> Iterator[LogLines]:
    """Return the lines logged through `telemetry` so far, each read as JSON."""
    below = [logging.getLogger(name) for name in ("shared", "functions")]
    before = [(logger.handlers, logger.level, logger.propagate) for logger in below]
    telemetry.begin("request-of-the-fixture", context)
    stream = io.StringIO()
    redirected = [(handler, handler.setStream(stream)) for handler in below[0].handlers]  # type: ignore[attr-defined]
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    for handler, previous in redirected:
        handler.setStream(previous)  # type: ignore[attr-defined]
    for logger, state in zip(below, before, strict=True):
        logger.handlers, logger.propagate = state[0], state[2]
        logger.setLevel(state[1])
    telemetry._logger.cache_clear()


@pytest.fixture
def api(environment: pytest.MonkeyPatch, log_lines: LogLines) -> Handler:
    """The API function's handler."""
    # Here, and not on top: importing a handler takes hold of the process's event loop.
    from functions.api.handler import handler

    return handler


@pytest.fixture
def admin(environment: pytest.MonkeyPatch, log_lines: LogLines) -> Handler:
    """The operator's function's handler."""
    from functions.admin.handler import handler

    return handler


@pytest.fixture
def turns(environment: pytest.MonkeyPatch, log_lines: LogLines) -> Handler:
    """The turns function's handler."""
    from functions.turns.handler import handler

    return handler
