"""List agents, councils and aliases as models of OpenAI's API."""

from typing import Any, Final, Literal

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, Field

from functions.http import caller
from functions.requests import Resident
from functions.strict_route import StrictRoute
from shared.catalog import catalog
from shared.db.chat import load_models
from shared.db.engine import database

router = APIRouter(prefix="/v1", tags=["OpenAI"], route_class=StrictRoute)

_OWNER: Final = "pantheon"


class OpenAiModelView(BaseModel):
    """An agent, a council or an alias as a model."""

    id: str = Field(description="Name of the model in requests.", examples=["writer"])
    object: Literal["model"] = Field(description="Always `model`.", examples=["model"])
    created: int = Field(
        description="When it was made, in seconds since 1970. 0 for an alias.", examples=[1_796_040_000]
    )
    owned_by: str = Field(description="Always `pantheon`.", examples=["pantheon"])
    name: str = Field(description="Name for people.", examples=["Writer"])


class OpenAiModelsView(BaseModel):
    """All models on one page."""

    object: Literal["list"] = Field(description="Always `list`.", examples=["list"])
    data: list[OpenAiModelView] = Field(description="The models.")


@router.get("/models", response_model=OpenAiModelsView)
async def list_openai_models(caller: Resident) -> dict[str, Any]:
    """List the enabled agents and the councils by key, then the aliases as `alias/<name>`."""
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
    """Answer as GET does, without a body."""
    return Response(media_type="application/json")
