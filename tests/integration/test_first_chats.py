"""Tests that a new tenant's first request, also by a chat program or MCP, finds the roster of the template."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from functions.http import Caller
from functions.turns.mcp_messages import Call
from functions.turns.mcp_methods import Exchange
from shared.db.api.new_tenants import add_roster, template
from shared.domain.actor import Actor
from shared.errors import UnknownModel
from shared.names import Env
from shared.turns.question import Question, take_question
from tests.support.chat_program import ChatProgram
from tests.support.council_room import CouncilRoom, body

NEW = Actor("tenant-9", "user-9")
KEYS = ["editor", "panel"]
ROSTER = """
[agents.editor]
name = "Editor"
role_prompt = "You edit."
model_alias = "fast"

[councils.panel]
name = "Panel"
mode = "roundtable"
agent_keys = ["editor"]
"""


@pytest.fixture
def program(room: CouncilRoom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatProgram]:
    file = tmp_path / "roster.toml"
    file.write_text(ROSTER, "utf-8")
    monkeypatch.setenv(Env.ROSTER, str(file))
    template.cache_clear()
    yield ChatProgram(room)
    template.cache_clear()
    add_roster.cache_clear()


def listed(program: ChatProgram, tenant_id: str = NEW.tenant_id) -> list[str]:
    """The keys that list_councils tells."""
    caller = Caller("user-9", tenant_id, None, ("member",))
    exchange = Exchange({"type": "http"}, caller, program.room.runner(), "2025-11-25", {}, tells=False)
    (answer,) = exchange.answer(Call(1, "tools/call", {"name": "list_councils"}))
    assert answer is not None
    return [each["key"] for each in answer["result"]["structuredContent"]["councils"]]


@pytest.mark.parametrize("model", KEYS)
def test_first_completion_is_answered_by_the_roster(program: ChatProgram, model: str) -> None:
    assert program.ask("hello", actor=NEW, model=model)["status"] == "completed"
    assert listed(program) == KEYS


def test_first_call_of_an_alias_brings_the_roster(program: ChatProgram) -> None:
    assert program.ask("hello", actor=NEW, model=None, alias="fast")["status"] == "completed"
    assert program.ask("hello", actor=NEW, model="editor")["status"] == "completed"


def test_first_message_of_mcp_finds_the_roster(program: ChatProgram) -> None:
    assert listed(program) == KEYS


def test_first_question_of_mcp_is_answered_by_the_roster(program: ChatProgram) -> None:
    question = Question(NEW, "editor", "hello", str(uuid4()))
    assert body(take_question(program.room.runner(), question))["status"] == "completed"


def test_unknown_model_is_refused_after_the_roster_is_there(program: ChatProgram) -> None:
    program.refused(UnknownModel, "hello", actor=NEW, model="nobody")
    assert listed(program) == KEYS


def test_tenant_that_is_known_gets_no_roster(program: ChatProgram) -> None:
    program.room.owner.execute("INSERT INTO tenants (tenant_id) VALUES (%s)", (NEW.tenant_id,))
    program.refused(UnknownModel, "hello", actor=NEW, model="editor")
    assert listed(program) == []


def test_known_tenant_pays_no_statement_for_it(program: ChatProgram, monkeypatch: pytest.MonkeyPatch) -> None:
    welcomed = list[Any]()
    program.session("one")
    for module in ("run", "conversations"):
        monkeypatch.setattr(f"shared.turns.{module}.add_roster", lambda *given: welcomed.append(given))
    program.session("two")
    assert welcomed == []
