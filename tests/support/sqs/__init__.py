"""Delivers SQS messages to the worker: events in the form of Lambda's poller, and a poller of a moto queue."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from functions.worker import handler as worker
from local.gateway.worker import LambdaContext

HOST = "127.0.0.1"


def message(turn_id: UUID, tenant_id: str) -> str:
    """A message's body, as the contract between the functions has it."""
    return json.dumps({"tenant_id": tenant_id, "turn_id": str(turn_id)})


def event(*bodies: str, receive_count: int = 1) -> dict[str, Any]:
    """The messages are called `message-0`, `message-1` and so on."""
    return {"Records": [_record(f"message-{number}", body, receive_count) for number, body in enumerate(bodies)]}


def failed(bodies: Sequence[str], context: LambdaContext) -> list[str]:
    """Let the real handler work on these messages. Returns those that come back."""
    answer = worker.handler(event(*bodies), context)
    numbers = [int(item["itemIdentifier"].removeprefix("message-")) for item in answer["batchItemFailures"]]
    return [bodies[number] for number in numbers]


@dataclass(frozen=True)
class MotoQueue:
    """A queue with its dead-letter queue on a server that speaks SQS; `client` is boto3's."""

    client: Any
    url: str
    dead_letter_url: str

    def receive(self, url: str | None = None) -> list[dict[str, Any]]:
        """Up to ten visible messages, which are invisible from now on."""
        received = self.client.receive_message(
            QueueUrl=url or self.url,
            MaxNumberOfMessages=10,
            WaitTimeSeconds=0,
            MessageSystemAttributeNames=["ApproximateReceiveCount", "MessageGroupId"],
        )
        messages: list[dict[str, Any]] = received.get("Messages", [])
        return messages

    def dead_letters(self) -> list[Any]:
        """The bodies in the dead-letter queue."""
        return [json.loads(letter["Body"]) for letter in self.receive(self.dead_letter_url)]

    def show(self, received: Sequence[dict[str, Any]]) -> None:
        """Let the visibility timeout of these messages be over."""
        for letter in received:
            self.client.change_message_visibility(
                QueueUrl=self.url, ReceiptHandle=letter["ReceiptHandle"], VisibilityTimeout=0
            )

    def poll(self, context: LambdaContext) -> int:
        """Run Lambda's poller once: pass the visible messages to the worker, and delete those that succeed.

        The failed messages are visible again afterwards. Returns the number of received messages.
        """
        received = self.receive()
        records = [
            _record(letter["MessageId"], letter["Body"], int(letter["Attributes"]["ApproximateReceiveCount"]))
            for letter in received
        ]
        if not records:
            return 0
        answer = worker.handler({"Records": records}, context)
        failures = {item["itemIdentifier"] for item in answer["batchItemFailures"]}
        for letter in received:
            if letter["MessageId"] not in failures:
                self.client.delete_message(QueueUrl=self.url, ReceiptHandle=letter["ReceiptHandle"])
        self.show([letter for letter in received if letter["MessageId"] in failures])
        return len(received)


def _record(message_id: str, body: str, receive_count: int) -> dict[str, Any]:
    return {
        "messageId": message_id,
        "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a==",
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": str(receive_count),
            "SentTimestamp": "1767323045006",
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": "1767323045010",
        },
        "messageAttributes": {},
        "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:pantheon-turns",
        "awsRegion": "eu-central-1",
    }
