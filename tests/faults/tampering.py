"""Changes rows without the protocol, one way for each kind of finding, to prove that the checks see it."""

import random
from collections.abc import Mapping
from types import MappingProxyType

from tests.faults.checks import examine
from tests.faults.reconciled import settle
from tests.faults.scenarios import SCENARIOS
from tests.faults.turn import TurnUnderFault
from tests.faults.world import World

# Kind of finding -> the change of a watched turn of two agents whose first call was asked twice.
TAMPERING: Mapping[str, str] = MappingProxyType(
    {
        "lost": "DELETE FROM usage_ledger; DELETE FROM llm_calls",
        "double": "UPDATE llm_calls SET verdict = 'reply' WHERE step = 0",
        "asked again": "UPDATE llm_calls SET verdict = 'failed' WHERE step = 0 AND attempt = 1",
        "half": """UPDATE turns SET status = 'running', lease_expires_at = clock_timestamp(),
            dispatch_after = clock_timestamp()""",
        "plan": "UPDATE turns SET plan = jsonb_set(plan, '{source}', '\"roster\"')",
        "amount": "UPDATE llm_calls SET cost_usd = cost_usd + 1 WHERE step = 1",
        "told": "UPDATE turns SET response = response || ' '",
        "response": "UPDATE turns SET response = jsonb_set(response::jsonb, '{platform_cost_usd}', '\"1\"')::text",
        "shown": "UPDATE turns SET response = jsonb_set(response::jsonb, '{replies,0,text}', '\"Else.\"')::text",
        "paid": "UPDATE budget_holds SET payer = 'tenant:' || tenant_id",
        "invariant": "UPDATE budgets SET held_usd = held_usd + 1",
        "stuck": "TRUNCATE turns CASCADE",
        # The reconciler finds nothing to post, and leaves the call in suspense.
        "suspense": "UPDATE llm_calls SET posted_at = NULL WHERE status = 'unknown'",
    }
)


def unseen(world: World, rng: random.Random) -> list[str]:
    """Return the kinds of findings that the checks missed."""
    missed: list[str] = []
    for kind, sql in TAMPERING.items():
        world.renew()
        turn = TurnUnderFault.begin(world, SCENARIOS["after a retry"], rng)
        turn.run(turn.post_job(live=True))
        turn.bring_to_end()
        world.owner.execute(sql.encode())
        turn.look()
        found = {finding for finding, _ in [*examine(turn), *settle(world)[1]]}
        if kind not in found:
            missed.append(kind)
    world.renew()
    return missed
