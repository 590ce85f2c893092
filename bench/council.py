"""Compare a single agent, a roundtable of three and a council of three on questions with known answers.

    python -m bench.council                                             scripted agents, whose figures are known
    PANTHEON_LLM_BASE_URL=http://.../v1 python -m bench.council         an endpoint; or PANTHEON_CATALOG
    PANTHEON_CATALOG=models.toml python -m bench.council --aliases fast,deep,other

Each question is a turn of its own session, through the real engine and a Postgres. The single agent is the first of the
three. The columns are right answers by kind, and all of them with their 95 % interval (Wilson). Then come the USD and
tokens of a question by the ledger, its calls, its median seconds, and all fallbacks.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from math import sqrt
from pathlib import Path
from typing import Final, Literal

import psycopg
from uuid6 import uuid7

from bench.experts import Experts
from bench.questions import KINDS, Question, questions
from bench.report import table
from bench.world import KEYS, SETTINGS, Case, World
from shared.llm.port import Provider
from shared.names import Env

TENANT: Final = "quality"
# A turn's time. A slow endpoint answers seven calls in it.
_SECONDS: Final = 900.0
_ANSWER: Final = (
    "If the answer cannot be known, say so. End with one line that begins with 'Answer:' and has only the answer, "
    "numbers in digits."
)
_ROLES: Final = (
    "Answer the question directly.",
    "Answer the question step by step, and check each step.",
    "Answer the question. Look first for what others overlook.",
)
COLUMNS: Final = ("", *KINDS, "all", "95 % interval, %", "USD", "tokens", "calls", "seconds", "fallbacks")
_Z: Final = 1.96


@dataclass(frozen=True, slots=True)
class Contestant:
    name: str
    mode: Literal["manual", "roundtable", "council"]
    keys: tuple[str, ...]


CONTESTANTS: Final = (
    Contestant("single agent", "manual", KEYS[:1]),
    Contestant("roundtable of 3", "roundtable", KEYS[:3]),
    Contestant("council of 3", "council", KEYS[:3]),
)


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a question. `usd`, `tokens` and `calls` are the ledger's."""

    question: Question
    answer: str
    usd: Decimal
    tokens: int
    calls: int
    seconds: float
    # Reviews that could not be read, a chair that failed and the like.
    fallbacks: int

    @property
    def is_right(self) -> bool:
        return self.question.is_right(self.answer)


def ask_all(world: World, asked: Sequence[Question], contestant: Contestant) -> list[Result]:
    """Put each question to the contestant in a session of its own."""
    from shared.db.api.sessions import record_session
    from shared.db.engine import database
    from shared.turns.draft import TurnRequest
    from shared.turns.run import Runner, take_turn

    results = []
    for question in asked:
        session_id = uuid7()
        fields: dict[str, object] = {
            "title": "",
            "mode": contestant.mode,
            "agent_keys": list(contestant.keys),
            "fan_out": "sequential",
        }
        record_session(database(), TENANT, "bench", session_id, fields)
        started = time.perf_counter()
        runner = Runner(database(), world.provider, lambda: _SECONDS)
        outcome = take_turn(runner, TurnRequest(TENANT, "bench", session_id, question.text))
        seconds = time.perf_counter() - started
        fallbacks = len(json.loads(outcome.body)["fallbacks"])
        results.append(Result(question, answer_of(outcome.body), *_ledger(world, outcome.turn_id), seconds, fallbacks))
    return results


def answer_of(body: str) -> str:
    """The council's output, and the last reply of other modes, which has heard those before it."""
    turn = json.loads(body)
    if turn["mode"] == "council":
        return str(turn["output"])
    return str(next((reply["text"] for reply in reversed(turn["replies"]) if reply["status"] == "completed"), ""))


def _ledger(world: World, turn_id: object) -> tuple[Decimal, int, int]:
    """Return USD, tokens and calls of a turn on all accounts."""
    query = b"""SELECT coalesce(sum(amount_usd), 0), coalesce(sum(input_tokens + output_tokens + cache_read_tokens
            + cache_write_tokens + reasoning_tokens), 0)::bigint, count(*)
        FROM usage_entries WHERE turn_id = %s AND kind = 'post'"""
    with psycopg.connect(world.server_url, autocommit=True) as owner:
        row = owner.execute(query, [turn_id]).fetchone()
    assert row is not None
    return row[0], row[1], row[2]


def make_agents(aliases: Sequence[str], max_output_tokens: int = 400) -> None:
    """Make an agent of each role. Aliases are used in turn."""
    from shared.db.api.agents import record_agent
    from shared.db.engine import database

    for number, (key, role) in enumerate(zip(KEYS, _ROLES, strict=False)):
        agent = {"name": key.title(), "role_prompt": f"{role} {_ANSWER}", "enabled": True, "temperature": None}
        alias = {"model_alias": aliases[number % len(aliases)], "max_output_tokens": max_output_tokens}
        record_agent(database(), TENANT, key, {**agent, **alias})


def interval(right: int, count: int) -> tuple[float, float]:
    """The Wilson score interval of a share, with 95 % confidence."""
    share, spread = right / count, _Z**2 / count
    middle = (share + spread / 2) / (1 + spread)
    half = _Z * sqrt(share * (1 - share) / count + spread / (4 * count)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def row(name: str, results: Sequence[Result]) -> list[str]:
    """The contestant's row of the table."""
    by_kind = [[each.is_right for each in results if each.question.kind == kind] for kind in KINDS]
    right, count = sum(map(sum, by_kind)), len(results)
    low, high = interval(right, count)
    return [
        name,
        *(f"{sum(kind)}/{len(kind)}" for kind in by_kind),
        f"{right}/{count}",
        f"{low * 100:.0f} to {high * 100:.0f}",
        f"{sum(each.usd for each in results) / count:.6f}",
        f"{sum(each.tokens for each in results) / count:.0f}",
        f"{sum(each.calls for each in results) / count:.1f}",
        f"{statistics.median(each.seconds for each in results):.2f}",
        str(sum(each.fallbacks for each in results)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--aliases", default="fast", help="of the three agents, separated by commas (fast)")
    parser.add_argument("--each", type=int, help="the number of questions of each kind (default: all)")
    parser.add_argument("--tokens", type=int, default=400, help="the output cap of each reply (400)")
    parser.add_argument("--wrong", action="store_true", help="print the wrong answers")
    arguments = parser.parse_args()
    asked = [each for kind in KINDS for each in [q for q in questions() if q.kind == kind][: arguments.each]]
    with ExitStack() as resources:
        models = _models(resources, asked)
        world = resources.enter_context(World.start(Case("council", "council", KEYS[:3]), SETTINGS, models=models))
        make_agents(arguments.aliases.split(","), arguments.tokens)
        results = {one.name: ask_all(world, asked, one) for one in CONTESTANTS}
    print(table(COLUMNS, [row(name, each) for name, each in results.items()]))
    print(f"\n{len(asked)} questions are few: where intervals overlap, the difference may be chance.")
    if arguments.wrong:
        for name, each in results.items():
            for result in each:
                if not result.is_right:
                    print(f"\n{name}: {result.question.text}\n    {result.answer.strip()[-300:]}")


def _models(resources: ExitStack, asked: Sequence[Question]) -> Callable[[], Provider]:
    """The provider that the environment names, or the scripted agents."""
    if not os.environ.get(Env.LLM_PROVIDER) and not os.environ.get(Env.CATALOG):
        os.environ[Env.LLM_PROVIDER] = "openai" if os.environ.get(Env.LLM_BASE_URL) else "scripted"
    chosen = os.environ.get(Env.LLM_PROVIDER)
    if chosen == "scripted":
        return lambda: Experts(asked)
    if chosen == "local" and not os.environ.get(Env.LLM_BASE_URL):
        from local import model as local_model

        folder = Path(resources.enter_context(tempfile.TemporaryDirectory()))
        started = resources.enter_context(local_model.start(folder / "model.log"))
        os.environ |= {Env.LOCAL_MODEL_URL: started.base_url, Env.LOCAL_MODEL_KEY: started.api_key}
    from shared.llm.providers import provider

    return provider


if __name__ == "__main__":
    main()
