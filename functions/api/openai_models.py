"""What OpenAI's clients can choose as a model: agents, councils and aliases."""

from typing import Any, Final, Literal

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel

from functions.http import caller
from functions.requests import Resident
from functions.strict_route import StrictRoute
from shared.catalog import catalog
from shared.db.chat import load_models
from shared.db.engine import database

router = APIRouter(prefix="/v1", route_class=StrictRoute)

_OWNER: Final = "pantheon"


class OpenAiModelView(BaseModel):
    """`id` is the model's name in requests. `created` is in seconds since 1970, 0 for an alias."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    name: str


class OpenAiModelsView(BaseModel):
    object: Literal["list"]
    data: list[OpenAiModelView]


@router.get("/models", response_model=OpenAiModelsView)
async def list_openai_models(caller: Resident) -> dict[str, Any]:
    """Every enabled agent and every council by key, then the aliases as `alias/<name>`."""
    made = [
        (row["key"], int(row["created_at"].timestamp()), row["name"])
        for row in load_models(database(), caller.tenant_id)
    ]
    aliases = [(f"alias/{alias}", 0, alias) for alias in catalog()]
    shown = [
        {"id": id_, "object": "model", "created": created, "owned_by": _OWNER, "name": name}
        for id_, created, name in (*made, *aliases)
    ]
    return {"object": "list", "data": shown}


@router.head("/models", include_in_schema=False, dependencies=[Depends(caller)])
async def probe_openai_models() -> Response:
    """What GET answers, without a body."""
    return Response(media_type="application/json")
