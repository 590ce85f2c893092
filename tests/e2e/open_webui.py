"""Runs Open WebUI on the local stack by the API that its page uses: `make clients-openwebui`."""

import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from local.stack import Stack
from tests.clients.page import ADDRESS, TOKEN, block
from tests.clients.server import serving
from tests.support.processes import eventually
from tests.support.stack.tenant import PATIENCE_S, Tenant

_SETTINGS = {
    "OFFLINE_MODE": "true",
    "HF_HUB_OFFLINE": "1",
    "USE_SLIM_DOCKER": "true",
    "RAG_EMBEDDING_ENGINE": "openai",
    "ENABLE_PERSISTENT_CONFIG": "false",
    "ENABLE_OLLAMA_API": "false",
    "WEBUI_SECRET_KEY": "of-the-tests",
}
_ADA = {"name": "Ada", "email": "ada@example.org", "password": "of-the-tests"}
_TASKS = {"title_generation": True, "tags_generation": True, "follow_up_generation": True}
_CALLS = """SELECT t.mode, l.account FROM turns t JOIN usage_ledger l ON l.turn_id = t.id
    WHERE t.tenant_id = %s ORDER BY t.created_at"""


@pytest.fixture
def page(stack: Stack, tenant: Tenant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The API of Open WebUI's page for a user who has signed up. This Open WebUI has an administrator's key."""
    tenant.make_agents("writer")
    directory = tmp_path_factory.mktemp("open-webui")
    key = tenant.http.headers["Authorization"].removeprefix("Bearer ")
    documented = block("Open WebUI", "ini").replace(ADDRESS, stack.url).replace(TOKEN, key)
    ours = dict(line.split("=", 1) for line in documented.splitlines()) | {"DATA_DIR": str(directory)}
    with (
        serving(
            "openwebui/open-webui", "serve", health="/health", directory=directory, environ={**_SETTINGS, **ours}
        ) as url,
        httpx.Client(base_url=f"{url}/api/", timeout=PATIENCE_S) as page,
    ):
        page.headers["Authorization"] = f"Bearer {page.post('v1/auths/signup', json=_ADA).json()['token']}"
        yield page


class Chat:
    """A chat as the page stores it: a tree of messages, which is saved before each request."""

    def __init__(self, page: httpx.Client) -> None:
        self._page = page
        self._messages: dict[str, dict[str, Any]] = {}
        self._last: str | None = None
        self._id: str | None = None

    def say(self, text: str) -> str:
        """Ask as the page does, and return the shown text once the answer has ended."""
        asked, answered = str(uuid4()), str(uuid4())
        self._add(asked, self._last, role="user", content=text, models=["writer"])
        self._add(answered, asked, role="assistant", content="", model="writer")
        self._store(answered)
        body = {
            "model": "writer",
            "messages": self._until(asked),
            "stream": True,
            "chat_id": self._id,
            "id": answered,
            "parent_id": asked,
            "session_id": str(uuid4()),
            "background_tasks": _TASKS if self._last is None else {"follow_up_generation": True},
        }
        posted = self._page.post("chat/completions", json=body)
        assert posted.status_code == 200, posted.text
        self._last = answered
        shown = eventually(lambda: self._stored(answered), PATIENCE_S)
        self._messages[answered]["content"] = shown["content"]
        return str(shown["content"])

    def _add(self, id_: str, parent: str | None, **fields: Any) -> None:
        if parent is not None:
            self._messages[parent]["childrenIds"].append(id_)
        self._messages[id_] = {
            "id": id_,
            "parentId": parent,
            "childrenIds": [],
            "timestamp": int(time.time()),
            **fields,
        }

    def _store(self, current: str) -> None:
        history = {"currentId": current, "messages": self._messages}
        body = {"chat": {"title": "New Chat", "models": ["writer"], "history": history, "messages": []}}
        stored = self._page.post("v1/chats/new" if self._id is None else f"v1/chats/{self._id}", json=body)
        assert stored.status_code == 200, stored.text
        self._id = stored.json()["id"]

    def _until(self, id_: str | None) -> list[dict[str, str]]:
        """Return the messages that lead to this one."""
        path: list[dict[str, str]] = []
        while id_ is not None:
            message = self._messages[id_]
            path.insert(0, {"role": message["role"], "content": message["content"]})
            id_ = message["parentId"]
        return path

    def _stored(self, id_: str) -> dict[str, Any] | None:
        """Return the message once its answer has ended."""
        message: dict[str, Any] = self._page.get(f"v1/chats/{self._id}").json()["chat"]["history"]["messages"][id_]
        return message if message.get("done") else None


def test_person_signs_up_chooses_an_agent_and_chats_in_one_session(page: httpx.Client, tenant: Tenant) -> None:
    models = page.get("models").json()["data"]
    assert {"writer", "alias/fast"} <= {model["id"] for model in models}
    chat = Chat(page)
    assert chat.say("one") == "You said: one"
    # Open WebUI sends the turn, and requests of its own for a title, tags and suggestions.
    eventually(lambda: len(tenant.rows(_CALLS, tenant.id)) == 4, PATIENCE_S)
    calls = tenant.rows(_CALLS, tenant.id)
    assert sorted(call["mode"] for call in calls) == ["call", "call", "call", "manual"]
    assert {call["account"] for call in calls} == {"tenant"}
    own = [request for request in tenant.requests if request.messages[-1]["content"].startswith("### Task:")]
    assert len(own) == 3

    assert chat.say("two") == "You said: two"
    eventually(lambda: len(tenant.rows(_CALLS, tenant.id)) == 6, PATIENCE_S)
    (session,) = tenant.http.get("sessions").json()["items"]
    turns = tenant.http.get(f"sessions/{session['id']}/turns").json()["items"]
    assert [turn["message"] for turn in turns] == ["two", "one"]
    assert (session["origin"], session["model"], session["imported"]) == ("chat", "writer", False)
