"""Make the queue that hands turns over to the worker, and its dead-letter queue.

The database decides which turns are due. A message only makes a turn start sooner, so it may be lost, doubled or
late."""

from aws_cdk import Duration
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra_cdk.entries import HIDDEN_SECONDS
from shared.names import MAX_RECEIVES


class Queue(Construct):
    """`queue`, and the dead-letter queue `dead` for messages that failed."""

    def __init__(self, scope: Construct, id: str) -> None:
        super().__init__(scope, id)
        self.dead = sqs.Queue(
            self,
            "Dead",
            retention_period=Duration.days(14),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
        )
        self.queue = sqs.Queue(
            self,
            "Queue",
            visibility_timeout=Duration.seconds(HIDDEN_SECONDS),
            retention_period=Duration.days(4),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.dead, max_receive_count=MAX_RECEIVES),
        )

    def feed(self, worker: lambda_.Alias, concurrency: int) -> None:
        """Deliver one turn an invocation to `worker`, with at most `concurrency` invocations at the same time."""
        worker.add_event_source(
            sources.SqsEventSource(
                self.queue, batch_size=1, max_concurrency=concurrency, report_batch_item_failures=True
            )
        )
