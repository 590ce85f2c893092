"""Tests that the commands of docs/clients.md work unchanged."""

import os
import re
import subprocess

from local.stack import Stack
from tests.clients.page import ADDRESS, PAGE, TOKEN, block
from tests.clients.program import python_of
from tests.support.fake_provider import FakeProvider


def test_curl_lists_models_and_streams_an_answer(stack: Stack, provider: FakeProvider) -> None:
    commands = block("curl", "bash").replace(TOKEN, stack.token()).replace(ADDRESS, stack.url)
    printed = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert '"id":"alias/fast"' in printed
    assert printed.endswith("data: [DONE]\n\n")


def test_python_prints_answer_cost_and_session(stack: Stack, provider: FakeProvider) -> None:
    program = block("Python", "python").replace(ADDRESS, stack.url)
    ran = subprocess.run(
        [python_of("openai"), "-c", program],
        env={**os.environ, "PANTHEON_TOKEN": stack.token()},
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.fullmatch(r"You said: hello\n0\.\d+ USD in session [0-9a-f-]{36}\n", ran.stdout)


def test_page_is_short() -> None:
    assert len(PAGE.split()) < 1500
