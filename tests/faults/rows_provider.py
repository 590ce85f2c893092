"""Faults of the provider: every outcome at every step of a turn. The turn ends, and the ledger equals the provider's
log.
"""

import random
from collections.abc import Mapping
from itertools import product
from types import MappingProxyType

from tests.faults.checks import Finding
from tests.faults.matrix import Tally
from tests.faults.scenarios import (
    CHAIR,
    CRITIC,
    RESEARCHER,
    REVIEW,
    ROUTING,
    SCENARIOS,
    SUMMARY_STRUCTURE,
    SUMMARY_TEXT,
    WRITER,
    Scenario,
)
from tests.faults.turn import TurnUnderFault
from tests.faults.world import Rule, World
from tests.support.fake_provider import moods
from tests.support.fake_provider.moods import Mood

# A call's timeout in seconds. It is short, because some outcomes use it up.
MAX_CALL_S = 1.0
_STATUSES = (400, 401, 403, 404, 408, 409, 413, 422, 424, 429, 500, 502, 503, 504, 529)
OUTCOMES: Mapping[str, Mood] = MappingProxyType(
    {f"status {code}": moods.status(code, retry_after=0.01 if code == 429 else None) for code in _STATUSES}
    | {
        "an answer": moods.ok("An answer."),
        "an answer, and a close": moods.ok_then_close(),
        "too long": moods.too_long(),
        "empty": moods.empty(),
        "invalid UTF-8": moods.invalid_utf8(),
        "NUL": moods.nul(),
        "a bare NUL": moods.raw_nul(),
        "a lone surrogate": moods.lone_surrogate(),
        "cut at the cap": moods.length(),
        "filtered": moods.content_filter("Half of"),
        "refused in words": moods.refusal(),
        "no count": moods.no_usage(),
        "a count that is none": moods.ok("An answer.", usage={"prompt_tokens": "many", "completion_tokens": -1}),
        "an empty object": moods.raw({}),
        "a list": moods.raw([]),
        "a page of HTML": moods.html_200(),
        "nine megabytes": moods.huge(),
        "half of an answer": moods.cut_short(),
        "a reset": moods.reset_before_answer(),
        "a close": moods.close_without_answer(),
        "no answer": moods.slow(5.0),
        "headers without end": moods.trickle_headers(),
        "a body without end": moods.trickle_body(),
    }
)
STEPS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "routing": ("orchestrator", ROUTING),
        "the first agent": ("sequential", WRITER),
        "the last agent": ("sequential", CRITIC),
        "an agent with a fallback": ("after a fallback", RESEARCHER),
        "an agent in parallel": ("parallel", CRITIC),
        "a member of a council": ("council", CRITIC),
        "a review": ("council", REVIEW),
        "the chair": ("council", CHAIR),
        "the summary's text": ("summary", SUMMARY_TEXT),
        "the summary's lists": ("summary", SUMMARY_STRUCTURE),
        "every step": ("orchestrator and summary", ""),
    }
)
CASES = [*product(OUTCOMES, STEPS, (1, None))]


def outcomes(world: World, tally: Tally, rng: random.Random) -> None:
    """Try each outcome once, at every attempt of its step."""
    cases = rng.sample(CASES, len(CASES))
    while not tally.done:
        outcome, step, times = cases[tally.rounds % len(cases)]
        name, when = STEPS[step]
        usual = SCENARIOS[name]
        scenario = Scenario(usual.message, usual.mode, usual.fan_out, (Rule(OUTCOMES[outcome], when, times),))
        turn = TurnUnderFault.begin(world, scenario, rng, max_call_s=MAX_CALL_S)
        answer = turn.run(turn.post_job())
        found: list[Finding] = []
        if answer is None or answer.status != 201:
            found.append(("stuck", f"'{outcome}' at {step}: {answer and answer.status}"))
        turn.bring_to_end()
        tally.add(world, turn, kind=step, more=found)
