"""Serve the console's files and its sign-in settings. No route here needs a token or a database."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from fastapi.routing import APIRoute

from functions.api.console_files import answer_file, read_files
from functions.api.console_policy import policy_headers
from functions.http import base_path
from functions.problems import problem_response
from functions.strict_route import StrictRoute
from shared.console_settings import console_settings
from shared.names import VERSION
from shared.settings import stage_settings

router = APIRouter(route_class=StrictRoute)

DIST: Final = Path(__file__).parent / "console" / "dist"
_MISSING: Final = "The console is not built. Run `make console`."
_READ: Final = ["GET", "HEAD"]


@router.api_route("/", methods=_READ, include_in_schema=False)
@router.api_route("/console", methods=_READ, include_in_schema=False)
async def lead_to_console(request: Request) -> Response:
    """Redirect to the page. Its address ends in a slash."""
    return RedirectResponse(f"{base_path(request.scope)}/console/", headers=_headers())


@router.api_route("/console/config.json", methods=_READ, include_in_schema=False)
async def read_config() -> Response:
    """Return the stage and the addresses of its issuer. Without an issuer, the addresses are null."""
    settings = console_settings()
    body = {
        "stage": stage_settings().stage,
        "version": VERSION,
        "issuer": settings.console_issuer,
        "client_id": settings.console_client_id,
        "scope": settings.console_scope,
        "authorization_endpoint": settings.console_authorization_endpoint,
        "token_endpoint": settings.console_token_endpoint,
        "end_session_endpoint": settings.console_end_session_endpoint,
    }
    return JSONResponse(body, headers={**_headers(), "Cache-Control": "no-store"})


async def read_file(request: Request, name: str) -> Response:
    """Answer with a file of the build, or 304 if the client has it."""
    files = read_files(DIST)
    if not files:
        headers = {**_headers(), "Cache-Control": "no-store"}
        return problem_response(request.scope, 404, "console_missing", _MISSING, {}, headers)
    return answer_file(request, files, name, _headers())


# The issuer adds parameters of its own when it sends users back. So this route takes any.
router.add_api_route(
    "/console/{name:path}", read_file, methods=_READ, include_in_schema=False, route_class_override=APIRoute
)


def _headers() -> Mapping[str, str]:
    return policy_headers(console_settings())
