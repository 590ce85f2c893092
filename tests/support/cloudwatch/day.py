"""A day with every kind of event, through the handlers of a service.

It has turns in every mode, a fallback, a conflict, a failure, a kill and a resume, an abandoned turn, and outages.
"""

import json
from uuid import UUID

import pytest

from functions.admin import handler as admin
from functions.admin import platform
from functions.api import budget
from functions.api import handler as api
from functions.reconciler import handler as reconciler
from functions.sweeper import handler as sweeper
from shared.db.api.history import record_cancel
from shared.db.engine import Database
from shared.errors import DatabaseUnavailable
from shared.llm.port import Request
from shared.names import API_PREFIX
from tests.support.cloudwatch.service import NOWHERE, Service
from tests.support.council_room import Killed, answer, unbilled, unknown

ROUTED = answer(json.dumps({"selected_agent_keys": ["writer"]}))
NONSENSE = answer("Let me think.")
# Only one of three reviews may name these two letters. The others become fallbacks.
RANKED = answer(json.dumps({"ranking": ["B", "A"]}))


def live(service: Service, patch: pytest.MonkeyPatch) -> None:
    modes(service)
    faults(service)
    wait_conflict_and_cancel(service)
    kill_and_resume(service)
    give_up(service)
    outages(service, patch)
    operations_outages(service, patch)
    service.sweep()
    service.reconcile()
    service.copy_keys()


def modes(service: Service) -> None:
    assert service.post("@writer hello", answer())["statusCode"] == 201
    service.post("hello", answer(), mode="manual", agent_keys=["writer"])
    service.post("hello", answer(), answer(), answer(), mode="roundtable")
    service.post("hello", ROUTED, answer(), mode="orchestrator")
    service.post("hello", *[answer()] * 3, *[RANKED] * 3, answer(), mode="council")


def faults(service: Service) -> None:
    service.post("hello", NONSENSE, answer(), mode="orchestrator")
    failed = service.post("@writer hello", unbilled("refused"))
    assert json.loads(failed["body"])["status"] == "failed"
    service.post("@writer hello", unknown(), answer())


def wait_conflict_and_cancel(service: Service) -> None:
    """A turn that waits, whose session refuses another one, and which is cancelled."""
    session_id = service.room.make_session()
    waiting = service.post("@writer hello", session_id=session_id, later=True)
    assert waiting["statusCode"] == 202
    assert service.post("@writer hello", session_id=session_id)["statusCode"] == 409
    turn_id = UUID(json.loads(waiting["body"])["id"])
    record_cancel(service.room.db, service.room.actor, turn_id)
    service.deliver(turn_id)
    assert service.room.row("SELECT status FROM turns WHERE id = %s", turn_id) == {"status": "cancelled"}


def kill_and_resume(service: Service) -> None:
    """The process dies while a model is asked, and the worker runs the turn on."""
    service.room.provider.enqueue(_die, answer())
    turn_id = service.room.take_until_killed("@writer hello", session_id=service.room.make_session())
    assert not service.deliver(turn_id)


def give_up(service: Service) -> None:
    service.room.provider.enqueue(answer(), *[_die] * 5)
    turn_id = service.room.take_until_killed("@writer @critic hello", session_id=service.room.make_session())
    for _ in range(4):
        service.room.expire_lease()
        try:
            if service.deliver(turn_id):
                return
        except Killed:
            continue
    raise AssertionError("the turn was not given up")


def outages(service: Service, patch: pytest.MonkeyPatch) -> None:
    with patch.context() as patched:
        away = Database(NOWHERE)
        patched.setattr(service.turns, "database", lambda: away)
        assert service.post("@writer hello")["statusCode"] == 503
        patched.setattr(service.turns, "database", lambda: None)
        assert service.post("@writer hello")["statusCode"] == 500


def operations_outages(service: Service, patch: pytest.MonkeyPatch) -> None:
    """The database is away from the functions that tenants do not wait for, and from the API."""
    with patch.context() as patched:
        away = Database(NOWHERE)
        for module in (sweeper, reconciler):
            patched.setattr(module, "operations_database", lambda: away)
        patched.setattr(platform, "operator_database", lambda: away)
        patched.setattr(budget, "database", lambda: away)
        assert service.sweep()["failed"]
        with pytest.raises(DatabaseUnavailable):
            service.reconcile()
        assert service.get(admin, f"{API_PREFIX}/admin/platform/budget")["statusCode"] == 503
        assert service.get(api, f"{API_PREFIX}/budget")["statusCode"] == 503


def _die(_: Request) -> str:
    raise Killed
