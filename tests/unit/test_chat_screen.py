"""Tests how a chat prints the events of a turn."""

import io
from typing import Any

from rich.console import Console

from local.chat.conversation import Told, _events
from local.chat.screen import Screen, safe


def reply(position: int, text: str | None = "Hi.", **fields: Any) -> dict[str, Any]:
    names = ("Writer", "Critic", "Planner")
    return {"position": position, "name": names[position], "status": "completed", "text": text, "error": None, **fields}


def ended(*replies: dict[str, Any], **fields: Any) -> Told:
    return Told("turn.ended", {"status": "completed", "error": None, "cost_usd": "0.1", "replies": replies, **fields})


def started(position: int) -> Told:
    return Told("reply.started", {"position": position, "name": ("Writer", "Critic")[position]})


def delta(position: int, text: str) -> Told:
    return Told("reply.delta", {"position": position, "text": text})


def shown(*events: Told, terminal: bool = False) -> str:
    output = io.StringIO()
    console = Console(file=output, force_terminal=terminal, width=60, height=20, color_system=None)
    with Screen(console) as screen:
        for told in events:
            screen.take(told)
    return output.getvalue()


def test_replies_are_shown_in_the_order_of_the_plan_when_they_end_in_another() -> None:
    told = [Told("reply.completed", reply(1, "Second.")), Told("reply.completed", reply(0, "First."))]
    text = shown(started(0), started(1), *told, ended(reply(0, "First."), reply(1, "Second.")))
    assert text == "Writer\nFirst.\n\nCritic\nSecond.\n\n0.1 USD\n"


def test_reply_is_shown_while_it_is_written_in_a_terminal() -> None:
    text = shown(started(0), delta(0, "Once **upon"), delta(0, "** a time"), terminal=True)
    assert "Once upon a time" in text
    assert shown(started(0), delta(0, "Once")) == ""


def test_name_of_a_reply_stays_on_the_screen_once() -> None:
    text = shown(started(0), delta(0, "Hi."), Told("reply.completed", reply(0)), terminal=True)
    # After the live part is cleared.
    assert text.rpartition("\x1b[2K")[2].count("Writer") == 1


def test_new_attempt_begins_with_nothing() -> None:
    events = (started(0), delta(0, "Wrong."), started(0), delta(0, "Right."))
    text = shown(*events, terminal=True)
    assert text.index("Wrong.") < text.index("Right.")
    assert "Wrong.Right." not in text


def test_markdown_is_rendered_in_a_terminal_and_kept_in_a_file() -> None:
    told = Told("reply.completed", reply(0, "**Bold**"))
    assert "**" not in shown(told, terminal=True)
    assert "**Bold**" in shown(told)


def test_failed_reply_and_turn_have_their_reason() -> None:
    failed = reply(0, None, status="failed", error={"code": "timeout", "detail": "It took too long."})
    text = shown(ended(failed, status="failed", error={"code": "no_reply", "detail": "No agent answered."}))
    assert "It took too long." in text
    assert "The turn is failed. No agent answered." in text
    assert "Busy." in shown(Told("error", {"code": "turn_conflict", "detail": "Busy."}))


def test_text_of_a_model_cannot_steer_the_terminal() -> None:
    assert safe("a\tb\n\x1b[2Jc") == "a    b\n\\x1b[2Jc"
    assert "\x1b[2J" not in shown(Told("reply.completed", reply(0, "\x1b[2J \u202e")), terminal=True)


def test_events_are_read_from_lines_and_comments_are_ignored() -> None:
    lines = ["id: 1.1", "event: reply.delta", 'data: {"a": 1}', "", ":", "", 'data: {"b": 2}', ""]
    assert list(_events(lines)) == [Told("reply.delta", {"a": 1}, "1.1"), Told("message", {"b": 2})]
