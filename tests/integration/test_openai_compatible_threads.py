"""Tests one provider under many threads, inside a running loop, and across a fork."""

import asyncio
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from shared.llm.openai_compatible import OpenAICompatibleProvider
from shared.llm.port import Completion, Message
from tests.support.fake_provider import FakeProvider, moods
from tests.support.fake_provider.calls import LIMIT_S, STUCK_S, request

pytest_plugins = ["tests.support.fake_provider.fixtures"]


def test_eight_threads_call_at_once(fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider) -> None:
    fake_provider.add(moods.hold(), times=None)
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(openai_compatible.complete, request(call_id=f"call-{number}")) for number in range(8)]
        try:
            rows = fake_provider.wait_for_requests(8)
        finally:
            fake_provider.release()
    completions = [call.result() for call in calls]
    assert sorted(row.client_request_id or "" for row in rows) == [f"call-{number}" for number in range(8)]
    assert {completion.status for completion in completions} == {"succeeded"}
    told = {row.client_request_id: row.request_id for row in fake_provider.rows}
    assert [completion.provider_request_id for completion in completions] == [
        told[f"call-{number}"] for number in range(8)
    ]


def test_one_call_that_times_out_leaves_the_others_alone(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider
) -> None:
    fake_provider.add(moods.trickle_body(), when="Critic")
    critic = (Message("system", "You are the Critic."), Message("user", "hello"))
    with ThreadPoolExecutor(3) as pool:
        asked = [request(), request(LIMIT_S, messages=critic), request()]
        completions = list(pool.map(openai_compatible.complete, asked))
    assert [completion.status for completion in completions] == ["succeeded", "unknown", "succeeded"]


def test_provider_can_be_called_inside_a_running_loop(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider
) -> None:
    async def route() -> Completion:
        return openai_compatible.complete(request())

    # In a thread of its own, because asyncio.run() takes the current event loop away from the thread it ran in.
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(asyncio.run, route()).result(STUCK_S).status == "succeeded"


def test_closing_ends_a_call_in_flight_and_the_next_one_connects_anew(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider
) -> None:
    fake_provider.add(moods.hold())
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(openai_compatible.complete, request())
        fake_provider.wait_for_requests(1)
        openai_compatible.close()
        completion = call.result(STUCK_S)
    assert (completion.status, completion.error) == ("unknown", "connection_lost")
    assert openai_compatible.complete(request()).status == "succeeded"


FORK = """
import os, signal, sys
from shared.llm.openai_compatible import OpenAICompatibleProvider
from tests.support.fake_provider.calls import request
provider = OpenAICompatibleProvider(sys.argv[1])
assert provider.complete(request()).status == "succeeded"
child = os.fork()
if child == 0:
    signal.alarm(10)
    os._exit(0 if provider.complete(request()).status == "succeeded" else 1)
assert os.waitpid(child, 0)[1] == 0
assert provider.complete(request()).status == "succeeded"
"""


def test_a_forked_child_gets_a_client_of_its_own(fake_provider: FakeProvider) -> None:
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", FORK, fake_provider.url], timeout=60, check=False)
    assert ran.returncode == 0
    assert len(fake_provider.rows) == 3


FORK_FIRST = """
import os, signal, sys
from shared.llm.openai_compatible import OpenAICompatibleProvider
from tests.support.fake_provider.calls import request
provider = OpenAICompatibleProvider(sys.argv[1])
children = []
for _ in range(2):
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        os._exit(0 if provider.complete(request()).status == "succeeded" else 1)
    children.append(child)
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
"""


def test_children_use_the_client_that_was_made_before_the_fork(fake_provider: FakeProvider) -> None:
    ran = subprocess.run([sys.executable, "-W", "error", "-c", FORK_FIRST, fake_provider.url], timeout=60, check=False)
    assert ran.returncode == 0
    assert len(fake_provider.rows) == 2


IMPORT = """
import sys, threading
import shared.llm.openai_compatible, shared.llm.scripted
provider = shared.llm.openai_compatible.OpenAICompatibleProvider("http://127.0.0.1:9/v1")
heavy = {"boto3", "botocore", "fastapi", "sqlalchemy", "openai"} & set(sys.modules)
assert not heavy, heavy
assert threading.active_count() == 1
"""


def test_before_the_first_call_nothing_heavy_is_imported_and_nothing_runs() -> None:
    assert subprocess.run([sys.executable, "-c", IMPORT], timeout=60, check=False).returncode == 0
