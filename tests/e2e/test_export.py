"""Tests the export of a session over HTTP: page by page, as JSON and as Markdown."""

from local.stack import Stack
from tests.support.fake_provider import FakeProvider, moods
from tests.support.stack.tenant import Tenant, open_client


def test_json_is_the_default_and_holds_what_the_lists_hold(tenant: Tenant, session_id: str) -> None:
    turn = tenant.take(session_id, "@writer @critic hello")
    answer = tenant.http.get(f"sessions/{session_id}/export")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["content-disposition"] == f'attachment; filename="session-{session_id}.json"'
    assert answer.json() == {
        "session": tenant.http.get(f"sessions/{session_id}").json(),
        "agents": [{"key": key, "name": key.title()} for key in ("writer", "researcher", "critic")],
        "turns": [turn],
        "summaries": [],
        "active_turn_id": None,
        "next_cursor": None,
    }


def test_the_pages_of_markdown_are_one_document(
    stack: Stack, tenant: Tenant, session_id: str, provider: FakeProvider
) -> None:
    # Each turn is stored with its text twice, so nine turns exceed a page.
    provider.answer_with(lambda _: moods.ok("x" * 256 * 1024))
    for _ in range(9):
        tenant.take(session_id, "@writer hello")
    first = tenant.http.get(f"sessions/{session_id}/export", params={"format": "markdown"})
    assert (first.status_code, first.headers["content-type"]) == (200, "text/markdown; charset=utf-8")
    assert first.headers["content-disposition"] == f'attachment; filename="session-{session_id}.md"'
    second = tenant.http.get(f"{stack.url}{first.links['next']['url']}")
    on_first = first.text.count("## Turn")
    assert second.headers["content-disposition"] == f'attachment; filename="session-{session_id}-after-{on_first}.md"'
    assert "next" not in second.links
    headings = [line for line in (first.text + second.text).splitlines() if line.startswith(("# ", "## Turn"))]
    assert headings == ["# Talk", *(f"## Turn {number}" for number in range(1, 10))]


def test_export_is_404_for_other_users(stack: Stack, tenant: Tenant, session_id: str) -> None:
    with open_client(stack.url, stack.token(tenant=f"not-{tenant.id}")) as stranger:
        for kind in ("json", "markdown"):
            answer = stranger.get(f"sessions/{session_id}/export", params={"format": kind})
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert tenant.http.delete(f"sessions/{session_id}").status_code == 204
    assert tenant.http.get(f"sessions/{session_id}/export").status_code == 404


def test_another_format_is_refused(tenant: Tenant, session_id: str) -> None:
    answer = tenant.http.get(f"sessions/{session_id}/export", params={"format": "html"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
