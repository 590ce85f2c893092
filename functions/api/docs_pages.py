"""Serve the API's reference page, which shows the OpenAPI document. No route here needs a token or a database."""

from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from functions.api.console_files import answer_file, read_files
from functions.api.console_policy import REFERENCE_HEADERS
from functions.http import base_path
from functions.strict_route import StrictRoute

router = APIRouter(route_class=StrictRoute)

REFERENCE: Final = Path(__file__).parent / "reference" / "dist"
_READ: Final = ["GET", "HEAD"]


@router.api_route("/docs", methods=_READ, include_in_schema=False)
async def lead_to_docs(request: Request) -> Response:
    """Redirect to the page. Its address ends in a slash."""
    return RedirectResponse(f"{base_path(request.scope)}/docs/", headers=REFERENCE_HEADERS)


@router.api_route("/docs/{name:path}", methods=_READ, include_in_schema=False)
async def read_docs_file(request: Request, name: str) -> Response:
    """Answer with a file of the page, or 304 if the client has it."""
    return answer_file(request, read_files(REFERENCE), name, REFERENCE_HEADERS)
