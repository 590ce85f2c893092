"""Check that the limits of a stage match each other, its account and its database."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from infra_cdk.entries import Entry

# AWS's default quota of concurrent invocations. Lambda refuses to reserve the last hundred.
ACCOUNT_CONCURRENCY: Final = 1000
UNRESERVED: Final = 100
# The seconds of the cost model's turn, rounded up. A test compares both.
TURN_S: Final = 14
# RDS's limit for the name of an instance.
_LONGEST_NAME: Final = 63
# No hyphen, so that COPY-STAGE is unambiguous. Cognito, RDS and Lambda limit the length.
_NAME: Final = re.compile(r"[a-z][a-z0-9]{0,15}")
_ACCOUNT: Final = re.compile(r"\d{12}")
# The stack of the account is pantheon-account-REGION.
_TAKEN: Final = "account"
# Cognito refuses login domains with these words.
_REFUSED: Final = ("aws", "amazon", "cognito")


def check_names(stage: str, copy: str | None, account: str | None) -> None:
    """Raise ValueError unless names of resources can begin with copy and stage."""
    for name in (stage, copy or "x"):
        if not _NAME.fullmatch(name) or name == _TAKEN:
            raise ValueError(
                f"{name!r} names no stage and no copy: take a small letter, then up to 15 small letters and digits, "
                f"and not {_TAKEN!r}."
            )
        if word := next((word for word in _REFUSED if word in name), None):
            raise ValueError(f"{name!r} names no stage and no copy: Cognito refuses a name with {word!r} in it.")
    if account is not None and not _ACCOUNT.fullmatch(account):
        raise ValueError(f"Stage {stage} needs an account of 12 digits.")


def check_money(
    stage: str,
    *,
    budget_usd: Decimal,
    default_cap_usd: Decimal,
    platform_allowance_usd: Decimal,
    turn_usd: Decimal,
    turns_per_minute: int,
) -> None:
    """Raise ValueError unless turn and allowance are at most the tenant's cap, and the cap at most the budget."""
    _check_order(stage, "default_cap_usd", default_cap_usd, "budget_usd", budget_usd)
    _check_order(stage, "platform_allowance_usd", platform_allowance_usd, "default_cap_usd", default_cap_usd)
    _check_order(stage, "turn_usd", turn_usd, "default_cap_usd", default_cap_usd)
    if turns_per_minute < 1:
        raise ValueError(f"Stage {stage} needs turns_per_minute of at least 1.")


def _check_order(stage: str, name: str, usd: Decimal, larger_name: str, larger_usd: Decimal) -> None:
    if not (usd.is_finite() and 0 < usd <= larger_usd):
        raise ValueError(f"Stage {stage} needs a {name} above 0 and at most its {larger_name}.")


def check_turns(stage: str, turns: int, others: int, connections: int) -> None:
    """Raise ValueError unless all concurrent turns get a connection.

    Args:
        turns: concurrent turns. Each occupies a process with one connection until it ends.
        others: concurrent invocations of other functions.
        connections: the database's connections for functions.
    """
    if turns + others > connections:
        raise ValueError(
            f"Stage {stage} lets {turns} turns run at once beside {others} other invocations, and the database has "
            f"{connections} connections for them. Lower turn_rate and turn_burst, or what it reserves."
        )


def check_reserved(
    stage: str, functions: Sequence[Entry], reserved: Mapping[str, int], queued: Mapping[str, int], connections: int
) -> None:
    """Raise ValueError unless account and database can serve all reserved invocations at the same time.

    Args:
        functions: all functions of the stage.
        reserved: reserved invocations by function.
        queued: the most invocations that a queue starts, by function, reserved or not.
        connections: the database's connections for functions. An invocation opens one.
    """
    entries = {entry.name: entry for entry in functions}
    if unknown := set(reserved) - set(entries):
        raise ValueError(f"Stage {stage} reserves concurrency of unknown functions: {sorted(unknown)}.")
    if (total := sum(reserved.values())) > ACCOUNT_CONCURRENCY - UNRESERVED:
        raise ValueError(
            f"Stage {stage} reserves {total} of the account's {ACCOUNT_CONCURRENCY} invocations; "
            f"{UNRESERVED} must stay unreserved."
        )
    at_once = {**queued, **reserved}
    if (connected := sum(number for name, number in at_once.items() if entries[name].role is not None)) > connections:
        raise ValueError(
            f"Stage {stage} runs {connected} invocations at once that use the database, which has "
            f"{connections} connections for them."
        )
    for name, number in queued.items():
        if at_once[name] < number:
            raise ValueError(f"Stage {stage} runs {number} invocations of {name} at once and must reserve as many.")


def check_snapshot(stage: str, prefix: str, snapshot: str | None) -> None:
    """Raise ValueError unless the snapshot's name is a database name whose logs the stage's key may encrypt."""
    if snapshot is None:
        return
    if len(snapshot) > _LONGEST_NAME or not re.fullmatch(rf"{prefix}(-[a-z0-9]+)+", snapshot):
        raise ValueError(
            f"Stage {stage}: {snapshot!r} names no snapshot for it. Copy the snapshot as {prefix}-2 or the "
            f"like, of at most {_LONGEST_NAME} characters."
        )
