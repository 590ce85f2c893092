"""Tests that each parser of text from clients or models takes time in proportion to the text."""

import gc
import io
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Final

import httpx
import pytest
from pydantic import TypeAdapter

from functions.accept import prefers
from functions.agent_schemas import NewAgent
from functions.api.markdown import render
from functions.moments import read_day, read_time
from functions.requests import SessionId
from functions.session_schemas import NewSession
from functions.turn_schemas import NewTurn
from functions.usage import read_groups
from shared.db.api.pages import PageRequest, as_index
from shared.domain.api_key import is_key
from shared.domain.conversation import Conversation, PastTurn, Said
from shared.domain.identifier import is_identifier
from shared.domain.json_text import cut_json
from shared.domain.message import TurnMessage
from shared.domain.origins import origin_pattern
from shared.domain.quotation import escape
from shared.domain.summary import Item, Summary
from shared.errors import PantheonError
from shared.identity.key_set import KeySet
from shared.identity.token import InvalidToken, verify
from shared.llm.chat_completions import read_completion
from shared.llm.chat_stream import ChatStream
from shared.llm.converse import metadata_value, read_response
from shared.llm.live_answer import LiveAnswer
from shared.llm.outcomes import Dialect, Sent, outcome
from shared.llm.port import Completion, Message, Request, cut, storable
from shared.llm.structured import parse
from shared.llm.thinking import split_thinking
from shared.llm.tokens import estimate_text
from shared.llm.wire import Answer
from shared.orchestration.prompts import Prompts
from shared.orchestration.reply_text import read_reply
from shared.orchestration.routing import read_decision
from shared.orchestration.tags import parse_tags
from shared.reconciliation.bedrock_log import read_invocation_log
from shared.reconciliation.plain_log import read_plain_log
from shared.settings import AuthorizerSettings
from shared.summary.answer import Changes, read_id, short
from shared.summary.merge import Limits, merge, same
from shared.summary.policy import SummaryPolicy
from shared.summary.summarise import summarise
from tests.support.hostile_text import HOSTILE, Text
from tests.support.issuer import AUDIENCE, ISSUER, Issuer
from tests.unit.test_council import CATALOG, ROSTER
from tests.unit.test_export_markdown import page, turn

# Four times the text may take nine times as long: three times for twice the text. A quadratic parser takes sixteen
# times as long. The sizes go up from a small one, so that a cubic parser is found before it takes minutes.
SIZES: Final = (250, 1000, 4000, 16_000, 64_000)
MOST_GROWTH: Final = 9.0
# A shorter time is mostly noise, in seconds.
LEAST_S: Final = 0.0003
RUNS, MORE_RUNS = 2, 6
REFUSALS: Final = (PantheonError, InvalidToken, ValueError, KeyError, TypeError, AttributeError, RecursionError)

AUTHORIZER = AuthorizerSettings.model_validate(
    {
        "PANTHEON_JWT_ISSUER": ISSUER,
        "PANTHEON_JWT_AUDIENCE": AUDIENCE,
        "PANTHEON_JWKS_URL": "file:///nowhere.json",
        "PANTHEON_AUTH_DATABASE_URL": "",
    }
)
KEYS = KeySet(lambda: Issuer("first").key_set)
SUMMARY = Summary(1, "", tuple(Item(f"F{n}", "key_facts", f"Fact {n}.", 1) for n in range(1, 41)), {"key_facts": 40})
TALK = Conversation(ROSTER, (), "Hello.", summary=SUMMARY)
REQUEST = Request("1", "2", CATALOG["fast"], (Message("user", "Hello."),), 100)
CHAT = Dialect("x-request-id", read_completion, ChatStream)


def said(text: str) -> Completion:
    return Completion("succeeded", text, "end_turn")


def _merged(text: str) -> None:
    changes, _ = parse(Changes, said(text), "summary_structure", 1)
    if changes is not None:
        merge(SUMMARY, changes, 2, Limits())


def _summarised(text: str) -> None:
    ask = lambda *_, **__: (1, said(text))  # noqa: E731
    summarise(TALK, 2, [Said("writer", "Writer", text)], SummaryPolicy(after_turns=1), ask)


def _fitted(text: str) -> None:
    talk = Conversation(ROSTER, (PastTurn(text, (Said("writer", "Writer", text),)),), text)
    Prompts(talk).for_agent(ROSTER["writer"], (Said("writer", "Writer", text),), 10**9)


def _allowed(text: str) -> None:
    pattern = origin_pattern("https://example.org,http://localhost:*")
    assert pattern is not None
    re.fullmatch(pattern, text)


def _preferred(text: str) -> None:
    from functions.turns import handler

    handler._wants_later(text)


def _body(model: type) -> Callable[[str], object]:
    """A body with the text in the place of each field, and as the whole."""
    adapter: TypeAdapter[object] = TypeAdapter(model)

    def read(text: str) -> None:
        with suppress(*REFUSALS):
            adapter.validate_python(json.loads(text))
        adapter.validate_python(dict.fromkeys((*model.model_fields, text), text))  # type: ignore[attr-defined]

    return read


def _chat(text: str) -> object:
    return read_completion(json.dumps({"choices": [{"message": {"content": text}, "finish_reason": text}]}).encode())


def _converse(text: str) -> object:
    return read_response(
        json.dumps({"output": {"message": {"content": [{"text": text}]}}, "stopReason": text}).encode()
    )


def _refusal(text: str) -> object:
    return outcome(Answer(400, httpx.Headers({"retry-after": "1"}), text.encode()), CHAT, REQUEST)


def _told(text: str) -> object:
    """The text as an error's message, while the prompt has it too."""
    asked = replace(REQUEST, messages=(Message("user", text),))
    body = json.dumps({"error": {"message": text, "param": text, "code": text}}).encode()
    return outcome(Answer(400, {}, body), CHAT, asked, Sent(("temperature", "response_format"), (text[:100],)))


def _streamed(text: str) -> object:
    event = json.dumps({"choices": [{"delta": {"content": text}}]})
    return read_completion(f"data: {event}\n\ndata: {text}".encode())


def _live(text: str) -> object:
    """As it comes, some bytes at a time."""
    live = LiveAnswer(ChatStream(), lambda _: None)
    event = json.dumps({"choices": [{"delta": {"content": text}, "message": {"content": text}}]})
    body = f"data: {event}\n\ndata: {text}\ndata: {text}".encode()
    for start in range(0, len(body), 50):
        live.take(body[start : start + 50])
    return live.body()


def _throttled(text: str) -> object:
    return outcome(Answer(429, {"retry-after": text, "x-request-id": text}), CHAT, REQUEST)


def _bytes(read: Callable[[io.BytesIO], object]) -> Callable[[str], object]:
    return lambda text: read(io.BytesIO(text.encode()))


PARSERS: Mapping[str, Callable[[str], object]] = MappingProxyType(
    {
        "structured answer": lambda text: parse(Changes, said(text), "component", 1),
        "decision": lambda text: read_decision(said(text), TALK, 4, 0),
        "changes to memory": _merged,
        "summary": _summarised,
        "id of an item": read_id,
        "text of an item": lambda text: same(short(text)),
        "thinking": split_thinking,
        "thinking behind a mark": lambda text: split_thinking(f"a <think> {text}"),
        "own name": lambda text: read_reply(said(text), ROSTER["writer"]),
        "tags": lambda text: parse_tags("@" + text, ROSTER),
        "body of a chat completion": lambda text: read_completion(text.encode()),
        "text of a chat completion": _chat,
        "body of Converse": lambda text: read_response(text.encode()),
        "text of Converse": _converse,
        "refusal of a provider": _refusal,
        "words of a provider": _told,
        "streamed chat completion": _streamed,
        "live chat completion": _live,
        "headers of a provider": _throttled,
        "metadata": metadata_value,
        "storable text": storable,
        "cut text": lambda text: cut(storable(text), len(text) // 2),
        "cut JSON": lambda text: cut_json(storable(text), len(text) // 2),
        "tokens": estimate_text,
        "prompt": _fitted,
        "quotation": escape,
        "Markdown of texts": lambda text: render(page("", turns={1: turn(text, "Writer")}, summaries={})),
        "Markdown of a line": lambda text: render(page(text, names={"writer": "Writer"}, turns={}, summaries={})),
        "cursor": lambda text: PageRequest(cursor=text).after(as_index),
        "token": lambda text: verify(text, KEYS, AUTHORIZER),
        "API key": is_key,
        "identifier": is_identifier,
        "origin": _allowed,
        "origins": origin_pattern,
        "id in a path": TypeAdapter(SessionId).validate_python,
        "day": read_day,
        "time": read_time,
        "groups": lambda text: read_groups([text], ["day"]),
        "Accept": partial(prefers, "text/csv"),
        "Prefer": _preferred,
        "message of the queue": TurnMessage.from_json,
        "turn": _body(NewTurn),
        "agent": _body(NewAgent),
        "session": _body(NewSession),
        "plain log": _bytes(lambda log: list(read_plain_log(log))),
        "Bedrock's log": _bytes(lambda log: list(read_invocation_log(log, "test"))),
    }
)


def seconds(read: Callable[[str], object], text: str) -> float:
    """The time of this thread, so that a busy machine does not count."""
    started = time.thread_time()
    with suppress(*REFUSALS):
        read(text)
    return time.thread_time() - started


def least(read: Callable[[str], object], text: str, runs: int) -> float:
    return min(seconds(read, text) for _ in range(runs))


def first_leap(read: Callable[[str], object], text: Text) -> str | None:
    """The first size at which four times the text takes more than MOST_GROWTH times as long."""
    before = LEAST_S
    for size in SIZES:
        taken = least(read, text(size), RUNS)
        if size > SIZES[0] and taken > MOST_GROWTH * before:
            taken = min(taken, least(read, text(size), MORE_RUNS))
            if taken > MOST_GROWTH * before:
                return f"{taken:.4f} s for {size} characters, {before:.4f} s for a quarter of them"
        before = max(taken, LEAST_S)
    return None


@pytest.fixture(autouse=True)
def _no_collection() -> Iterator[None]:
    """A collection takes time in proportion to everything that the process holds."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_takes_time_in_proportion_to_the_text(name: str) -> None:
    for hostile, text in HOSTILE.items():
        assert first_leap(PARSERS[name], text) is None, hostile
