"""Tests the queue against a server that speaks SQS: messages arrive unchanged, and failed ones end as dead letters.

An unreachable queue raises no error.
"""

import json
import os
import re
import socket
import subprocess
import sys
import time
from typing import Any

import pytest
from uuid6 import uuid7

from functions.dispatch import dispatch
from local.gateway.worker import LambdaContext
from shared.aws.queue import Queue, queue
from shared.domain.message import TurnMessage
from shared.llm.port import Completion, Request
from shared.names import MAX_RECEIVES
from tests.support import sqs
from tests.support.council_room import CouncilRoom, Killed, body
from tests.support.sqs import HOST

pytest_plugins = ["tests.support.sqs.fixtures"]


def messages(count: int) -> list[TurnMessage]:
    return [TurnMessage(uuid7(), f"tenant-{number}") for number in range(count)]


def read(received: list[dict[str, Any]]) -> set[TurnMessage]:
    return {TurnMessage.from_json(letter["Body"]) for letter in received}


def logged(caplog: pytest.LogCaptureFixture, field: str) -> list[Any]:
    """Return a field of each line that the queue has logged."""
    return [vars(record)[field] for record in caplog.records if record.name == "shared.aws.queue"]


class TestSend:
    def test_message_is_received_as_it_was_sent(self, moto: sqs.MotoQueue) -> None:
        (sent,) = messages(1)
        assert Queue(moto.url).send([sent]) == 0
        (received,) = moto.receive()
        assert json.loads(received["Body"]) == {"turn_id": str(sent.turn_id), "tenant_id": "tenant-0"}

    @pytest.mark.parametrize("wait_s", [1.0, 1.9])
    def test_a_message_is_seen_when_its_wait_is_over(self, moto: sqs.MotoQueue, wait_s: float) -> None:
        sent, began = messages(1), time.monotonic()
        assert Queue(moto.url).send(sent, wait_s) == 0
        assert moto.receive() == []
        while not (received := moto.receive()):
            assert time.monotonic() - began < 10
            time.sleep(0.05)
        # The worker waits for the remaining part of a second.
        assert time.monotonic() - began >= 0.9
        assert read(received) == set(sent)

    @pytest.mark.parametrize("count", [0, 10, 11, 25])
    def test_messages_are_sent_in_any_number(self, moto: sqs.MotoQueue, count: int) -> None:
        sent = messages(count)
        assert Queue(moto.url).send(sent) == 0
        received = [letter for _ in range(4) for letter in moto.receive()]
        assert len(received) == count
        assert read(received) == set(sent)

    def test_a_message_that_was_received_is_not_seen_until_its_time_is_over(self, moto: sqs.MotoQueue) -> None:
        Queue(moto.url).send(messages(1))
        received = moto.receive()
        assert moto.receive() == []
        moto.show(received)
        (again,) = moto.receive()
        assert (again["MessageId"], again["Attributes"]["ApproximateReceiveCount"]) == (received[0]["MessageId"], "2")

    def test_the_messages_of_a_tenant_are_in_one_group_whatever_its_id_is(self, moto: sqs.MotoQueue) -> None:
        """The queue is a standard one, where a group makes delivery fair and keeps no order."""
        tenants = ["acme", "Ärzte & Söhne \N{SLIGHTLY SMILING FACE}\n", "x" * 4000, ""]
        assert Queue(moto.url).send([TurnMessage(uuid7(), tenant) for tenant in tenants * 2]) == 0
        groups: dict[str, set[str]] = {}
        for letter in moto.receive():
            tenant = TurnMessage.from_json(letter["Body"]).tenant_id
            groups.setdefault(tenant, set()).add(letter["Attributes"]["MessageGroupId"])
        assert [len(of_tenant) for of_tenant in groups.values()] == [1] * len(tenants)
        assert len(set.union(*groups.values())) == len(tenants)
        # 128 of SQS's characters, of which these are some.
        assert all(re.fullmatch(r"[0-9a-f]{1,128}", group) for of_tenant in groups.values() for group in of_tenant)
        attributes = moto.client.get_queue_attributes(QueueUrl=moto.url, AttributeNames=["All"])["Attributes"]
        assert "FifoQueue" not in attributes


class TestWithoutAQueue:
    """The sender gets no error, and messages that are not sent are counted."""

    def test_missing_queue_raises_no_error(self, moto: sqs.MotoQueue, caplog: pytest.LogCaptureFixture) -> None:
        assert Queue(f"{moto.url}-of-another-stage").send(messages(2)) == 2
        assert logged(caplog, "code") == ["AWS.SimpleQueueService.NonExistentQueue"]

    def test_unreachable_server_raises_no_error(
        self, aws: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        with socket.create_server((HOST, 0)) as gone:
            url = f"http://{HOST}:{gone.getsockname()[1]}"
        aws.setenv("AWS_ENDPOINT_URL_SQS", url)
        assert Queue(f"{url}/turns").send(messages(25)) == 25
        assert logged(caplog, "error") == ["EndpointConnectionError"]

    def test_a_server_that_does_not_answer_is_asked_once(
        self, aws: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        with socket.create_server((HOST, 0)) as silent:
            url = f"http://{HOST}:{silent.getsockname()[1]}"
            aws.setenv("AWS_ENDPOINT_URL_SQS", url)
            assert Queue(f"{url}/turns").send(messages(11)) == 11
            silent.setblocking(False)
            silent.accept()[0].close()
            with pytest.raises(BlockingIOError):
                silent.accept()
        assert logged(caplog, "error") == ["ReadTimeoutError"]

    def test_process_without_a_region_or_credentials_raises_no_error(
        self, aws: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        aws.delenv("AWS_DEFAULT_REGION")
        assert Queue("https://queue.example/turns").send(messages(1)) == 1
        assert logged(caplog, "error") == ["NoRegionError"]

    def test_log_has_no_text_of_a_message(self, moto: sqs.MotoQueue, caplog: pytest.LogCaptureFixture) -> None:
        (message,) = messages(1)
        Queue(f"{moto.url}-of-another-stage").send([message])
        (line,) = (vars(record) for record in caplog.records if record.name == "shared.aws.queue")
        assert message.tenant_id not in str(line)


def test_process_without_a_queue_sends_nothing_and_loads_no_boto3() -> None:
    program = """
import sys
from uuid import UUID
from functions.dispatch import dispatch
from shared.domain.message import TurnMessage
assert dispatch([TurnMessage(UUID(int=1), "tenant-1")])
print(sorted({"boto3", "botocore.session", "botocore.client"} & set(sys.modules)))
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PANTHEON_")}
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


class TestTwoQueues:
    def test_turns_of_graphs_go_to_their_queue_and_others_to_the_workers(
        self, deployed: sqs.MotoQueue, of_graphs: sqs.MotoQueue
    ) -> None:
        (plain,), (graph,) = messages(1), [TurnMessage(uuid7(), "tenant-0", is_graph=True)]
        assert dispatch([graph, plain])
        assert read(deployed.receive()) == {plain}
        assert read(of_graphs.receive()) == {graph}

    def test_the_turn_of_a_graph_is_unsent_when_its_queue_refuses_it(
        self, deployed: sqs.MotoQueue, of_graphs: sqs.MotoQueue
    ) -> None:
        of_graphs.client.delete_queue(QueueUrl=of_graphs.url)
        (plain,) = messages(1)
        assert not dispatch([TurnMessage(uuid7(), "tenant-0", is_graph=True), plain])
        assert read(deployed.receive()) == {plain}

    def test_the_turn_of_a_graph_is_sent_to_the_worker_when_there_is_no_queue_of_graphs(
        self, deployed: sqs.MotoQueue
    ) -> None:
        message = TurnMessage(uuid7(), "tenant-0", is_graph=True)
        assert dispatch([message])
        assert read(deployed.receive()) == {message}


@pytest.mark.usefixtures("worker")
class TestWorker:
    def test_a_message_runs_its_turn_and_is_gone(
        self, deployed: sqs.MotoQueue, room: CouncilRoom, context: LambdaContext
    ) -> None:
        outcome = room.take("@writer hello", later=True)
        assert (outcome.handed_over, outcome.status) == (True, "accepted")
        message = TurnMessage(outcome.turn_id, room.tenant_id)
        # A standard queue may deliver twice.
        queue().send([message, message])
        assert [deployed.poll(context), deployed.poll(context)] == [2, 0]
        assert room.row("SELECT status FROM turns") == {"status": "completed"}
        assert len(room.provider.requests) == 1

    def test_only_failed_messages_of_a_batch_come_back(
        self, deployed: sqs.MotoQueue, room: CouncilRoom, context: LambdaContext
    ) -> None:
        outcome = room.take("@writer hello", later=True)
        deployed.client.send_message(QueueUrl=deployed.url, MessageBody="no message of ours")
        queue().send([TurnMessage(outcome.turn_id, room.tenant_id)])
        assert [deployed.poll(context), deployed.poll(context)] == [2, 1]
        assert room.row("SELECT status FROM turns") == {"status": "completed"}

    def test_unreadable_message_ends_as_a_dead_letter(self, deployed: sqs.MotoQueue, context: LambdaContext) -> None:
        deployed.client.send_message(QueueUrl=deployed.url, MessageBody='"no message of ours"')
        assert [deployed.poll(context) for _ in range(MAX_RECEIVES)] == [1] * MAX_RECEIVES
        assert deployed.poll(context) == 0
        assert deployed.dead_letters() == ["no message of ours"]

    def test_a_turn_that_its_worker_hands_over_is_sent_again(self, deployed: sqs.MotoQueue, room: CouncilRoom) -> None:
        outcome = room.take("@writer @critic hello", later=True)
        queue().send([TurnMessage(outcome.turn_id, room.tenant_id)])
        # The time is too short for one call.
        hurried = LambdaContext("worker", "request-1", time.monotonic() + 5)
        assert deployed.poll(hurried) == 1
        assert room.row("SELECT status FROM turns") == {"status": "accepted"}
        assert read(deployed.receive()) == {TurnMessage(outcome.turn_id, room.tenant_id)}

    def test_turn_that_waits_for_its_provider_is_delivered_later(
        self, deployed: sqs.MotoQueue, room: CouncilRoom, context: LambdaContext
    ) -> None:
        room.provider.enqueue(Completion("unbilled", error="throttled", retry_after_s=20.0))
        outcome = room.take("@writer hello", later=True)
        queue().send([TurnMessage(outcome.turn_id, room.tenant_id)])
        assert deployed.poll(context) == 1
        assert room.row("SELECT status FROM turns") == {"status": "accepted"}
        counts = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed")
        found = deployed.client.get_queue_attributes(QueueUrl=deployed.url, AttributeNames=list(counts))["Attributes"]
        assert [found[name] for name in counts] == ["0", "1"]

    def test_turn_that_fails_for_good_leaves_a_dead_letter_and_its_session_goes_on(
        self, deployed: sqs.MotoQueue, room: CouncilRoom, context: LambdaContext
    ) -> None:
        def die(_: Request) -> str:
            raise Killed

        room.provider.enqueue("Roses.", die)
        turn_id = room.take_until_killed("@writer @critic hello")
        room.owner.execute("DELETE FROM agent_versions WHERE key = 'critic'")
        message = TurnMessage(turn_id, room.tenant_id)
        while room.row("SELECT status FROM turns") == {"status": "running"}:
            # The sweeper's message after the end of the lease.
            room.expire_lease()
            queue().send([message])
            deployed.poll(context)
        assert room.row("SELECT status FROM turns") == {"status": "failed"}
        while deployed.poll(context):
            pass
        letters = deployed.dead_letters()
        # A message that was delivered during the lease is done, so the last one may be the only one.
        assert letters
        assert all(letter == json.loads(message.as_json()) for letter in letters)
        assert body(room.take("@writer and now?"))["status"] == "completed"
