"""Faults in the middle of a provider's stream while a client watches.

The ledger equals the provider's log, and the text of a failed attempt is taken back.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from types import MappingProxyType

from shared.catalog import CALL_MARGIN_S
from shared.db.engine import Row
from tests.faults.actor import AMPLE_S
from tests.faults.checks import Finding
from tests.faults.matrix import Tally
from tests.faults.scenarios import CRITIC, RESEARCHER, SCENARIOS, WRITER
from tests.faults.turn import TurnUnderFault
from tests.faults.world import Rule, World
from tests.support.fake_provider import moods
from tests.support.fake_provider.moods import Mood
from tests.support.fake_provider.streamed import DONE, event
from tests.support.streamed_answers import COUNT, COUNTED, STOP, delta, said

# A call's timeout in seconds, the turn's time if less than half of that is left, and a longer time than the latter.
_MAX_CALL_S, _CUT_S, _LATE_S = 2.0, 1.1, 1.9
# The end of an invocation that a turn leaves alone, in seconds.
_AFTER_S = 2.0
_PAUSE_S = 0.002
_SPLIT = 'data: {"choices":[{"delta":{"content":"Gr\u00fc\u00dfe \U0001f44b"}}]}\n\n'.encode()


def _counted(*pieces: bytes) -> Mood:
    return moods.streamed(*pieces, usage=COUNT, pause_s=_PAUSE_S)


def _uncounted(*pieces: bytes) -> Mood:
    return moods.streamed(*pieces, pause_s=_PAUSE_S)


FAULTS: Mapping[str, Mood] = MappingProxyType(
    {
        "an answer": _counted(said("One "), said("two."), STOP, COUNTED, DONE),
        "a count on the first chunk": _counted(COUNTED, said("One "), said("two."), STOP, DONE),
        "a count on every chunk": _counted(
            *(event({"choices": [{"delta": {"content": text}}], "usage": COUNT}) for text in ("One ", "two.")),
            STOP,
            DONE,
        ),
        "a count within the choice": _counted(
            said("One."), event({"choices": [{"delta": {}, "finish_reason": "stop", "usage": COUNT}]}), DONE
        ),
        "characters in two pieces": _counted(*(bytes([byte]) for byte in _SPLIT), STOP, COUNTED, DONE),
        "thinking without a beginning": _counted(said("Well. "), said("</think>"), said("Yes."), STOP, COUNTED, DONE),
        "a filter": _counted(said("Half "), delta("content_filter"), COUNTED, DONE),
        "blanks": _counted(said(" \n"), STOP, COUNTED, DONE),
        "an error that is counted": _counted(said("Half "), event({"error": {"code": 502}}), COUNTED),
        "an error": _uncounted(said("Half "), event({"error": {"code": 502, "message": "up"}})),
        "no count": _uncounted(said("One "), said("two."), STOP, DONE),
        "no JSON": _uncounted(said("Half "), b"data: {\n\n", STOP, COUNTED, DONE),
        "a cut": moods.streamed(said("Half "), said("of it"), delivery="cut_short", pause_s=_PAUSE_S),
        "a cut before the first word": moods.streamed(b": wait\n\n", delivery="cut_short"),
        "a cut behind the count": moods.streamed(said("Half "), COUNTED, delivery="cut_short", pause_s=_PAUSE_S),
        "a stall": moods.streamed(said("Half "), delivery="stay_open"),
        "a stall, with less time": moods.streamed(said("Half "), delivery="stay_open"),
    }
)
_STEPS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "the first agent": ("sequential", WRITER),
        "the last agent": ("sequential", CRITIC),
        "an agent with a fallback": ("after a fallback", RESEARCHER),
        "an agent in parallel": ("parallel", CRITIC),
        "every agent": ("roundtable", "You are"),
    }
)
_VARIANTS = [*product(_STEPS, (1, None))]
CASES = len(FAULTS) * len(_VARIANTS)


def in_mid_stream(world: World, tally: Tally, rng: random.Random) -> None:
    """Try each fault once, at every attempt of that agent."""
    cases = _cases(rng)
    while not tally.done:
        fault, step, times = cases[tally.rounds % len(cases)]
        name, when = _STEPS[step]
        left = _MAX_CALL_S if fault != "a stall, with less time" else _CUT_S
        seconds = AMPLE_S if left == _MAX_CALL_S else CALL_MARGIN_S + _AFTER_S + left
        rules = (Rule(FAULTS[fault], when, times),)
        scenario = replace(SCENARIOS[name], rules=rules, seconds_left=(seconds,))
        # A process remembers aliases whose streams have no count.
        world.dismiss()
        turn = TurnUnderFault.begin(world, scenario, rng, max_call_s=_MAX_CALL_S)
        answer = turn.run(turn.post_job(live=True))
        found: list[Finding] = []
        if answer is None or answer.status != 201:
            found.append(("stuck", f"'{fault}' at {step}: {answer and answer.status}"))
        turn.requests += world.requests()
        found += [*_unstreamed(turn, fault), *_in_time(turn, fault)]
        turn.bring_to_end()
        turn.follow()
        tally.add(world, turn, kind=fault, more=found)


def _cases(rng: random.Random) -> list[tuple[str, str, int | None]]:
    """Return the cases in an order in which every fault occurs once before one is repeated."""
    variants = {fault: rng.sample(_VARIANTS, len(_VARIANTS)) for fault in FAULTS}
    return [
        (fault, *variants[fault][number])
        for number in range(len(_VARIANTS))
        for fault in rng.sample([*FAULTS], len(FAULTS))
    ]


def _unstreamed(turn: TurnUnderFault, fault: str) -> Iterator[Finding]:
    """Check that an alias whose stream had no count gets no more streams. Calls at the same time do not know
    that yet.
    """
    if fault != "no count" or turn.scenario.fan_out == "parallel":
        return
    uncounted: set[str] = set()
    for request in turn.requests:
        if not request["parameters"].get("stream"):
            continue
        if request["model"] in uncounted:
            yield "streamed", f"a stream of {request['model']} was asked for after one without a count"
        if request["usage"] is None:
            uncounted.add(request["model"])


def _in_time(turn: TurnUnderFault, fault: str) -> Iterator[Finding]:
    """Check that a call that begins with less time ends with it."""
    if fault != "a stall, with less time":
        return
    for call in _timeouts(turn):
        if call["seconds"] > _LATE_S:
            yield "stuck", f"call {call['call_id']} took {call['seconds']} s of {_CUT_S} s"


def _timeouts(turn: TurnUnderFault) -> list[Row]:
    return turn.world.rows(
        """SELECT call_id, extract(epoch FROM finished_at - c.created_at)::float8 AS seconds
        FROM llm_calls c JOIN turns t ON t.id = c.turn_id
        WHERE idempotency_key = %s AND error_code = 'timeout'""",
        turn.key,
    )
