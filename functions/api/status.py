"""Serve health, the caller, the model catalog and the OpenAPI document."""

import json
import time
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from functions.api.commit import commit
from functions.http import base_path, caller
from functions.requests import CurrentCaller
from functions.schemas import HealthView, MeView, ModelView, PageOf
from functions.strict_route import StrictRoute
from shared.catalog import Model, catalog
from shared.db.api.health import load_checkpointer, load_checks
from shared.db.engine import database
from shared.domain.money import rates_as_dict
from shared.graph_names import graph_names
from shared.names import API_PREFIX, VERSION
from shared.settings import settings

router = APIRouter(tags=["Service"], route_class=StrictRoute)

CHECKED_FOR_S = 5.0
# The stage of `pantheon run`. On any other stage, graphs must store their state.
LOCAL = "local"
OPENAPI = Path(__file__).with_name("openapi.json")
# The first server of the document, as the document spells it.
SERVER = '"url": "/"'
# The last checks of this process, and their time.
_checked: tuple[float, dict[str, str]] | None = None


@router.get(f"{API_PREFIX}/health", response_model=HealthView, responses={503: {"model": HealthView}})
async def read_health() -> Response:
    """Check that the database answers, is migrated and accepts the journal. On a deployed stage, the checkpointer
    `memory` fails. A process checks every 5 s at most. No token is needed."""
    global _checked  # noqa: PLW0603 one process serves one request at a time
    if _checked is None or time.monotonic() - _checked[0] > CHECKED_FOR_S:
        _checked = (time.monotonic(), _check())
    checks, failing = _checked[1], [name for name, value in _checked[1].items() if value.startswith("failing")]
    if checks.get("checkpointer") == "memory" and settings().stage != LOCAL:
        failing.append("checkpointer")
    body = {
        "status": "unavailable" if failing else "ok",
        "version": VERSION,
        "commit": commit(),
        "stage": settings().stage,
        "checks": checks,
    }
    return JSONResponse(body, 503 if failing else 200)


def _check() -> dict[str, str]:
    checks = load_checks(database())
    return {**checks, "checkpointer": load_checkpointer(database())} if graph_names() else checks


@router.get(f"{API_PREFIX}/auth/me", response_model=MeView)
async def read_caller(current: CurrentCaller) -> dict[str, Any]:
    """Read the user, the tenant and the roles of the token or API key."""
    return {
        "user_id": current.user_id,
        "tenant_id": current.tenant_id,
        "email": current.email,
        "roles": list(current.roles),
    }


@router.get(f"{API_PREFIX}/models", response_model=PageOf[ModelView], dependencies=[Depends(caller)])
async def list_models() -> dict[str, Any]:
    """List the models that agents can use, with their prices. All are on one page."""
    return {"items": [_view(model) for model in catalog().values()], "next_cursor": None}


def _view(model: Model) -> dict[str, Any]:
    names = (name for name in ModelView.model_fields if name != "rates")
    return {name: getattr(model, name) for name in names} | {"rates": rates_as_dict(model.rates)}


@router.get("/openapi.json", include_in_schema=False)
@router.get(f"{API_PREFIX}/openapi.json", include_in_schema=False)
async def openapi(request: Request) -> Response:
    """Return the document of all functions. Its first server is the base of this request's address."""
    document = OPENAPI.read_text()
    if base := base_path(request.scope):
        document = document.replace(SERVER, SERVER.replace('"/"', json.dumps(base)), 1)
    return Response(document, media_type="application/json")
