"""Tests calls to Bedrock without an answer, many at once, and without credentials or a connection."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from botocore.config import Config

from shared.llm.bedrock import BedrockProvider
from shared.llm.port import Message
from tests.support.fake_bedrock import FakeBedrock
from tests.support.fake_bedrock.calls import complete, request
from tests.support.fake_bedrock.environment import REGION, STAGE
from tests.support.fake_provider import Mood, moods
from tests.support.fake_provider.calls import LIMIT_S, STUCK_S, wait_until

pytest_plugins = ["tests.support.fake_bedrock.fixtures"]


def threads_of(name: str) -> int:
    return sum(thread.name == name for thread in threading.enumerate())


@pytest.fixture
def stray(aws_environment: pytest.MonkeyPatch) -> Iterator[BedrockProvider]:
    """A provider whose endpoint the test serves itself."""
    with contextlib.closing(BedrockProvider(STAGE)) as provider:
        yield provider


@pytest.mark.parametrize("mood", [moods.trickle_body(), moods.trickle_headers(), moods.hold(), moods.slow(STUCK_S * 2)])
def test_timeout_bounds_the_whole_call_and_leaves_no_connection(
    fake_bedrock: FakeBedrock, bedrock: BedrockProvider, mood: Mood
) -> None:
    fake_bedrock.add(mood)
    start = time.monotonic()
    # Half of the limit is for the connection, which a busy machine delays.
    completion = complete(bedrock, request(max_call_s=2 * LIMIT_S))
    assert (completion.status, completion.error) == ("unknown", "timeout")
    assert time.monotonic() - start < 2 * LIMIT_S + 3.0
    assert len(fake_bedrock.rows) == 1
    assert threads_of("bedrock-signing") == 0
    if mood.delivery.startswith("trickle"):  # The others do not look at their connection.
        wait_until(lambda: fake_bedrock.open_connections == 0)


@pytest.mark.parametrize("mood", [moods.reset_before_answer(), moods.close_without_answer(), moods.cut_short()])
@pytest.mark.parametrize("reused", [False, True])
def test_a_connection_that_breaks_after_sending_is_unknown(
    fake_bedrock: FakeBedrock, bedrock: BedrockProvider, mood: Mood, reused: bool
) -> None:
    if reused:
        bedrock.complete(request())
    before = len(fake_bedrock.rows)
    fake_bedrock.add(mood)
    completion = complete(bedrock, request())
    assert (completion.status, completion.error) == ("unknown", "connection_lost")
    assert len(fake_bedrock.rows) == before + 1
    assert fake_bedrock.connections == 1


def test_a_connection_is_used_again(fake_bedrock: FakeBedrock, bedrock: BedrockProvider) -> None:
    for _ in range(3):
        bedrock.complete(request())
    assert len(fake_bedrock.rows) == 3
    assert fake_bedrock.connections == 1


def test_eight_threads_share_one_client_and_get_their_own_answers(
    fake_bedrock: FakeBedrock, bedrock: BedrockProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Config] = []
    make = boto3.session.Session.client

    def counted(self: boto3.session.Session, name: str, config: Config) -> object:
        made.append(config)
        return make(self, name, config=config)

    monkeypatch.setattr(boto3.session.Session, "client", counted)
    fake_bedrock.add(moods.hold(), times=None)
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(bedrock.complete, request(call_id=f"call-{number}")) for number in range(8)]
        try:
            rows = fake_bedrock.wait_for_requests(8)
        finally:
            fake_bedrock.release()
    completions = [call.result() for call in calls]
    (config,) = made
    assert (config.retries["total_max_attempts"], config.parameter_validation) == (1, False)
    assert {completion.status for completion in completions} == {"succeeded"}
    told = {row.client_request_id: row.request_id for row in rows}
    assert [completion.provider_request_id for completion in completions] == [
        told[f"call-{number}"] for number in range(8)
    ]


def test_one_call_that_times_out_leaves_the_others_alone(fake_bedrock: FakeBedrock, bedrock: BedrockProvider) -> None:
    fake_bedrock.add(moods.trickle_body(), when="Critic")
    critic = (Message("system", "You are the Critic."), Message("user", "hello"))
    with ThreadPoolExecutor(3) as pool:
        asked = [request(), request(max_call_s=LIMIT_S, messages=critic), request()]
        completions = list(pool.map(bedrock.complete, asked))
    assert [completion.status for completion in completions] == ["succeeded", "unknown", "succeeded"]


def test_closing_ends_a_call_in_flight_and_the_next_one_connects_anew(
    fake_bedrock: FakeBedrock, bedrock: BedrockProvider
) -> None:
    fake_bedrock.add(moods.hold())
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(bedrock.complete, request())
        fake_bedrock.wait_for_requests(1)
        bedrock.close()
        completion = call.result(STUCK_S)
    assert (completion.status, completion.error) == ("unknown", "connection_lost")
    assert bedrock.complete(request()).status == "succeeded"


def test_nothing_was_sent_to_a_port_where_nobody_listens(
    stray: BedrockProvider, aws_environment: pytest.MonkeyPatch
) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{bound.getsockname()[1]}"
        aws_environment.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", endpoint)
        completion = complete(stray, request())
    assert (completion.status, completion.error) == ("unbilled", "unavailable")


@pytest.mark.parametrize(
    ("missing", "cause"), [("AWS_ACCESS_KEY_ID", "NoCredentialsError"), ("AWS_DEFAULT_REGION", "NoRegionError")]
)
def test_nothing_was_sent_without_credentials_or_a_region(
    fake_bedrock: FakeBedrock,
    bedrock: BedrockProvider,
    aws_environment: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    missing: str,
    cause: str,
) -> None:
    aws_environment.delenv(missing)
    completion = complete(bedrock, request())
    assert (completion.status, completion.error) == ("unbilled", "unavailable")
    assert f"({cause})" in caplog.text
    assert fake_bedrock.rows == []


def test_the_region_is_that_of_aws_region_when_nothing_else_names_one(
    fake_bedrock: FakeBedrock, bedrock: BedrockProvider, aws_environment: pytest.MonkeyPatch
) -> None:
    aws_environment.delenv("AWS_DEFAULT_REGION")
    aws_environment.setenv("AWS_REGION", REGION)
    assert complete(bedrock, request()).status == "succeeded"
    assert len(fake_bedrock.rows) == 1


def test_nothing_was_sent_while_credentials_did_not_come(
    fake_bedrock: FakeBedrock, bedrock: BedrockProvider, aws_environment: pytest.MonkeyPatch
) -> None:
    aws_environment.delenv("AWS_ACCESS_KEY_ID")
    aws_environment.delenv("AWS_SECRET_ACCESS_KEY")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/credentials"
        aws_environment.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
        start = time.monotonic()
        completion = complete(bedrock, request(max_call_s=LIMIT_S))
        assert time.monotonic() - start < LIMIT_S + 3.0
    assert (completion.status, completion.error) == ("unbilled", "unavailable")
    wait_until(lambda: threads_of("bedrock-signing") == 0)
    assert fake_bedrock.rows == []


def test_a_server_on_this_machine_is_not_behind_the_proxy(
    fake_bedrock: FakeBedrock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        with contextlib.closing(BedrockProvider(STAGE)) as bedrock:
            assert bedrock.complete(request()).status == "succeeded"


FORK = """
import os, signal
from shared.llm.bedrock import BedrockProvider
from tests.support.fake_bedrock.calls import request
provider = BedrockProvider("test")
assert provider.complete(request()).status == "succeeded"
child = os.fork()
if child == 0:
    signal.alarm(10)
    os._exit(0 if provider.complete(request()).status == "succeeded" else 1)
assert os.waitpid(child, 0)[1] == 0
assert provider.complete(request()).status == "succeeded"
"""


def test_a_forked_child_gets_a_wire_of_its_own(fake_bedrock: FakeBedrock) -> None:
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], timeout=60, check=False)
    assert ran.returncode == 0
    assert len(fake_bedrock.rows) == 3


IMPORT = """
import threading
import shared.llm.bedrock
shared.llm.bedrock.BedrockProvider("test")
assert threading.active_count() == 1
"""


def test_before_the_first_call_no_setting_is_read_and_nothing_runs() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PANTHEON_"))}
    assert subprocess.run([sys.executable, "-c", IMPORT], env=environment, timeout=60, check=False).returncode == 0
