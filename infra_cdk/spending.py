"""Make AWS's budget of a stage: all costs with the stage's tag.

It does not contain the models, because AWS's inference profiles take no tags. The alarms on the ledger
(`infra_cdk/alarms.py`) compare the cost of the models with the same budget.
"""

from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra_cdk.stages import Stage


class Spending(Construct):
    """A budget that sends a ticket at 80 % of the month, and when AWS forecasts more than 100 %.

    The tag `stage` must be activated for cost allocation once in each account."""

    def __init__(self, scope: Construct, id: str, *, stage: Stage, ticket: sns.Topic) -> None:
        super().__init__(scope, id)
        budgets.CfnBudget(
            self,
            "Budget",
            budget=budgets.CfnBudget.BudgetDataProperty(
                budget_name=stage.prefix,
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budgets.CfnBudget.SpendProperty(amount=stage.budget_usd, unit="USD"),
                cost_filters={"TagKeyValue": [f"user:stage${stage.deployment}"]},
            ),
            notifications_with_subscribers=[
                _notify("ACTUAL", 80, ticket),
                _notify("FORECASTED", 100, ticket),
            ],
        )


def _notify(kind: str, per_cent: float, ticket: sns.Topic) -> budgets.CfnBudget.NotificationWithSubscribersProperty:
    return budgets.CfnBudget.NotificationWithSubscribersProperty(
        notification=budgets.CfnBudget.NotificationProperty(
            comparison_operator="GREATER_THAN", notification_type=kind, threshold=per_cent, threshold_type="PERCENTAGE"
        ),
        subscribers=[budgets.CfnBudget.SubscriberProperty(address=ticket.topic_arn, subscription_type="SNS")],
    )
