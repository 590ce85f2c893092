"""OpenAI's SDK for Python, as people install it, on the whole local stack. `make clients` tries the others."""

from tests.clients.cases import Chats
from tests.clients.program import OPENAI_PYTHON


class TestOpenAiForPython(Chats):
    client = OPENAI_PYTHON
