"""The API's reference page as the API function serves it."""

import re
from typing import Any

import pytest

from functions.api.docs_pages import REFERENCE
from local.gateway.worker import LambdaContext
from tests.support.gateway import Handler, problem_of, request


def get(api: Handler, context: LambdaContext, path: str, stage: str = "", **headers: str) -> dict[str, Any]:
    """Ask for a path without a token."""
    asked = request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    del asked["requestContext"]["authorizer"]
    asked["requestContext"]["path"] = f"{stage}{path}"
    return api(asked, context)


@pytest.mark.parametrize("stage", ["/live", ""])
def test_docs_lead_to_the_page(api: Handler, context: LambdaContext, stage: str) -> None:
    answer = get(api, context, "/docs", stage)
    assert (answer["statusCode"], answer["headers"]["location"]) == (307, f"{stage}/docs/")


def test_page_names_only_files_of_its_folder(api: Handler, context: LambdaContext) -> None:
    answer = get(api, context, "/docs/")
    assert (answer["statusCode"], answer["headers"]["content-type"]) == (200, "text/html; charset=utf-8")
    scripts = re.findall(r'src="([^"]+)"', answer["body"])
    assert len(scripts) == 2
    for script in scripts:
        file = get(api, context, f"/docs/{script}")
        assert file["body"] == (REFERENCE / script).read_text("utf-8")
        assert "immutable" in file["headers"]["cache-control"]


def test_page_runs_no_inline_script_and_no_other_origin(api: Handler, context: LambdaContext) -> None:
    policy = get(api, context, "/docs/")["headers"]["content-security-policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"} <= set(policy)
    assert not any("http" in part for part in policy)


def test_page_is_304_when_the_client_has_it(api: Handler, context: LambdaContext) -> None:
    tag = get(api, context, "/docs/")["headers"]["etag"]
    assert get(api, context, "/docs/", If_None_Match=tag)["statusCode"] == 304


@pytest.mark.parametrize("path", ["/docs/none.js", "/docs/../package.json", "/docs/assets/"])
def test_name_of_no_file_is_404(api: Handler, context: LambdaContext, path: str) -> None:
    problem_of(get(api, context, path), 404, "not_found")
