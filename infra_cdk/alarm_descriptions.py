"""Describe each alarm for the person who is paged: what happened, what it means, what to do first, and its section."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

RUNBOOK: Final = "docs/runbook.md"
_DESCRIPTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "BrokenInvariant": "Stored rows contradict each other. A defect or a write from outside Pantheon is the cause. "
        "Delete nothing, and run `pantheon doctor`.",
        "UnjournaledCall": "The provider billed a call that the journal does not have. Somebody else may use the "
        "stage's credentials, or the database was restored. Find the call in the reconciler's log.",
        "DeadLetter": "A message failed five times. Its turn has usually ended as failed. "
        "Read the log of the function that receives the queue's messages.",
        "OldestActiveTurn": "A turn has not ended for 45 minutes, or the sweeper sends no metrics. Turns may not be "
        "recovered. Read the logs of the worker and the sweeper.",
        "LedgerDrift": "Budgets and ledger differ for this month. Tenants may be refused or let through wrongly. "
        "Run `pantheon doctor`.",
        "CostRunsAway": "This hour costs at least three times the usual hour. Money may be lost. "
        "Find the tenant on the cost dashboard and lower its cap.",
        "MonthCost": "The models have cost 80 % of the stage's budget this month. "
        "Lower the caps of tenants, or raise `budget_usd`.",
        "MonthForecast": "The models will cost the stage's budget or more this month. "
        "Find the tenant or the model that grew on the cost dashboard.",
        "CostUnread": "The sweeper has sent no cost for 15 minutes. The cost alarms cannot ring; budgets still hold. "
        "Read the sweeper's log.",
        "UnknownRate": "At least 2 % of an hour's calls have no known outcome. Their reserves are in suspense. "
        "Check the provider's state.",
        "FallbackRate": "At least 10 of 100 turns used a fallback in routing or a summary. Answers may be worse. "
        "Give the helper another model.",
        "PlatformBudget": "The platform has spent 80 % of its limit. At 100 %, tenants pay for helpers and failures. "
        "Raise the limit, or lower an allowance.",
        "InvariantsUnchecked": "Five sweeps in a row did not check all invariants. A broken one may stay unnoticed. "
        "Look for locks and load on the database.",
        "SweeperSilent": "No sweep succeeded for 5 minutes. Turns are not recovered. Read the sweeper's log.",
        "ReconcilerSilent": "No reconciliation succeeded for 3 hours. Calls in suspense keep their reserves. "
        "Read the reconciler's log.",
        "JwksSilent": "The issuer's keys were not copied for 15 minutes. Tokens with newer keys are refused. "
        "Check that the issuer answers.",
        "Throttles": "Lambda or Bedrock refused ten requests or more in five minutes. Clients may get errors. "
        "Compare concurrency and quotas with the load.",
        "PinnedSessions": "Clients hold half of the proxy's connections. Others will wait. "
        "Use fewer workers, or deploy without the proxy.",
        "Canary": "A function raises errors or counts failures. CodeDeploy undoes a release that is in progress. "
        "Read the function's log.",
    }
)


def describe(alarm: str) -> str:
    """Return the description of an alarm that notifies somebody."""
    return f"{_DESCRIPTIONS[alarm]} {RUNBOOK}#{alarm.lower()}"
