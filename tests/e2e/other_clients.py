"""Runs other clients of OpenAI's API, as users install them, on the whole local stack: `make clients`."""

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from local.stack import Stack
from tests.clients.cases import Chats
from tests.clients.litellm_proxy import MASTER_KEY, litellm_proxy
from tests.clients.page import ADDRESS, block
from tests.clients.program import AI_SDK, ENVIRONMENTS, LANGCHAIN, LITELLM, OPENAI_JS, Program, User, node, started
from tests.support.stack.chat_client import user
from tests.support.stack.tenant import Tenant


class TestOpenAiForJavaScript(Chats):
    client = OPENAI_JS

    @pytest.mark.usefixtures("provider")
    def test_typescript_of_the_page_prints_an_answer(self, stack: Stack) -> None:
        program = ENVIRONMENTS / "node/page.ts"
        program.write_text(block("TypeScript", "typescript").replace(ADDRESS, stack.url))
        environ = {"PANTHEON_TOKEN": stack.token()}
        ran = subprocess.run([node(), program], env=environ, capture_output=True, text=True, check=True)
        assert ran.stdout == "You said: hello"


class TestAiSdk(Chats):
    client = AI_SDK


class TestLangChain(Chats):
    client = LANGCHAIN


class TestLiteLlmProxy(Chats):
    """OpenAI's SDK for Python talks to the proxy, and the proxy to Pantheon."""

    client = LITELLM

    @pytest.fixture(scope="class")
    @classmethod
    def program(cls, stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
        with (
            litellm_proxy(f"{stack.url}/v1", tmp_path_factory.mktemp("litellm")) as address,
            started(cls.client, address) as program,
        ):
            yield program

    @pytest.fixture
    def person(self, program: Program, tenant: Tenant) -> User:
        tenant.make_agents("writer")
        token = tenant.http.headers["Authorization"].removeprefix("Bearer ")
        return User(program, MASTER_KEY, {"body": {"api_key": token}})

    def test_wrong_key_is_401(self, person: User) -> None:
        assert person.ask(user("hello"), body={"api_key": "wrong"})["error"]["status"] == 401

    def _with_key(self, person: User, key: str) -> dict[str, Any]:
        """The proxy passes on headers of clients only if their names begin with x-. It adds those of the body."""
        return {"body": {**person.given["body"], "extra_headers": {"Idempotency-Key": key}}}
