"""Make the topics of the alarms: `page` wakes somebody, `ticket` waits until the morning."""

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra_cdk.stages import Stage
from infra_cdk.text_key import PENDING_DAYS

_SENDERS = ("cloudwatch.amazonaws.com", "budgets.amazonaws.com")


class Notifications(Construct):
    """Two encrypted topics, to which only this account's alarms and budgets send.

    A stage may subscribe an e-mail address to each. Other subscriptions are made by hand."""

    def __init__(self, scope: Construct, id: str, *, stage: Stage) -> None:
        super().__init__(scope, id)
        account = Stack.of(self).account
        self._only_here = {"StringEquals": {"aws:SourceAccount": account}}
        self._senders = [iam.ServicePrincipal(name) for name in _SENDERS]
        # CloudWatch alarms cannot use AWS's own key for topics.
        self._key = kms.Key(
            self,
            "Key",
            enable_key_rotation=True,
            description=f"Pantheon's alarms, {stage.deployment}",
            pending_window=Duration.days(PENDING_DAYS),
            # The key encrypts nothing that outlives the stage.
            removal_policy=RemovalPolicy.DESTROY,
        )
        self._key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=self._senders,
                actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                resources=["*"],
                conditions=self._only_here,
            )
        )
        self.page = self._topic("Page", stage.page_email)
        self.ticket = self._topic("Ticket", stage.ticket_email)

    def _topic(self, id: str, email: str | None) -> sns.Topic:
        topic = sns.Topic(self, id, master_key=self._key, enforce_ssl=True)
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                principals=self._senders,
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions=self._only_here,
            )
        )
        if email is not None:
            topic.add_subscription(subscriptions.EmailSubscription(email))
        return topic
