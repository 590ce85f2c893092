"""Tests OpenAI's SDK for Python, as users install it, on the whole local stack. `make clients` tests the others."""

from tests.clients.cases import Chats
from tests.clients.program import OPENAI_PYTHON


class TestOpenAiForPython(Chats):
    client = OPENAI_PYTHON
