"""Which test rings each alarm of the production stage. The plugin `alarm_fixtures` fails a test that does not."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Protocol

_ANSWERS = "The handler answers every error. Lambda counts one only if the process dies or runs out of time."

# Alarms that ring where a function does not run. As a rule, a test runs some of the functions only.
SILENCE: Final = {"OldestActiveTurn", "CostUnread", "SweeperSilent", "ReconcilerSilent", "JwksSilent"}


class Hear(Protocol):
    """Returns the names of all alarms that ring now, or `later_s` seconds later."""

    def __call__(self, later_s: float = 0.0) -> set[str]: ...


# By the alarm's name: the test in which real handlers ring it.
RANG: Final[Mapping[str, str]] = MappingProxyType(
    {
        "BrokenInvariant": "test_broken_invariant_pages",
        "UnjournaledCall": "test_call_in_the_providers_record_without_a_journal_row_pages",
        "DeadLetter": "test_a_dead_letter_pages",
        "OldestActiveTurn": "test_turn_that_does_not_end_pages_after_five_minutes",
        "LedgerDrift": "test_budgets_that_differ_from_the_ledger_page",
        "CostRunsAway": "test_hour_of_three_times_the_usual_cost_pages",
        "MonthCost": "test_month_is_a_ticket_at_four_fifths_of_the_stages_budget",
        "MonthForecast": "test_forecast_is_a_ticket_once_a_tenth_of_the_budget_is_spent",
        "CostUnread": "test_unread_cost_is_a_ticket_after_a_quarter_of_an_hour",
        "UnknownRate": "test_unknown_calls_are_a_ticket_at_two_in_a_hundred",
        "FallbackRate": "test_fallbacks_are_a_ticket_at_ten_in_a_hundred_turns",
        "PlatformBudget": "test_platforms_budget_is_a_ticket_at_four_fifths",
        "InvariantsUnchecked": "test_unchecked_invariants_are_a_ticket_after_five_sweeps",
        "SweeperSilent": "test_silent_sweeper_is_a_ticket_after_five_minutes",
        "ReconcilerSilent": "test_a_silent_reconciler_is_a_ticket_after_three_hours",
        "JwksSilent": "test_silent_issuer_is_a_ticket_after_a_quarter_of_an_hour",
        "Canary": "test_three_failures_of_the_worker_ring_for_its_release",
        "ReleaseWorkerFailures": "test_three_failures_of_the_worker_ring_for_its_release",
        "ReleaseTurnsFailures": "test_three_failures_of_streamed_turns_ring_for_their_release",
        "ReleaseApiFailures": "test_a_database_that_is_away_rings_for_the_buffered_functions",
        "ReleaseAdminFailures": "test_a_database_that_is_away_rings_for_the_buffered_functions",
        "ReleaseSweeperFailures": "test_three_failed_sweeps_ring_for_its_release",
        "ReleaseReconcilerFailures": "test_one_failed_reconciliation_rings_for_its_release",
        "ReleaseReconcilerErrors": "test_one_failed_reconciliation_rings_for_its_release",
        "ReleaseWorkerErrors": "test_functions_without_their_settings_ring_by_lambdas_errors",
        "ReleaseSweeperErrors": "test_functions_without_their_settings_ring_by_lambdas_errors",
        "ReleaseAuthorizerErrors": "test_an_authorizer_that_cannot_decide_rings_for_its_release",
        "ReleaseJwksErrors": "test_three_failed_copies_of_the_issuers_keys_ring_for_its_release",
    }
)
# Alarms that read a metric which only AWS measures, and why no handler here can cause it.
ONLY_ON_AWS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Throttles": "Lambda and Bedrock count the requests that they turn away.",
        "PinnedSessions": "RDS Proxy counts its pinned sessions.",
        "ReleaseTurnsErrors": _ANSWERS,
        "ReleaseApiErrors": _ANSWERS,
        "ReleaseAdminErrors": _ANSWERS,
    }
)
