"""A room in mode `council`, and scripted answers of its members, reviews and chair."""

import json
from typing import Any

import pytest

from shared.llm.port import Completion, Request
from tests.support.council_room import CouncilRoom

MEMBERS = ("writer", "researcher", "critic")


def is_review(request: Request) -> bool:
    return request.messages[0].text.startswith("You judge answers")


def is_chair(request: Request) -> bool:
    return "You chair this council" in request.messages[0].text


def reply(request: Request) -> str:
    """Return the answer of each of a council's calls. Reviews rank by letter."""
    if is_review(request):
        return json.dumps({"ranking": request.response_schema["properties"]["ranking"]["items"]["enum"]})  # type: ignore[index]
    if is_chair(request):
        return "Forty-two."
    return f"I am {next(key for key in MEMBERS if f'You are the {key}.' in request.messages[0].text)}."


def refused() -> Completion:
    return Completion("unbilled", error="refused")


@pytest.fixture
def council(room: CouncilRoom) -> CouncilRoom:
    room.session_id = room.make_session(agent_keys=MEMBERS, mode="council")
    room.provider.enqueue(*[reply] * 50)
    return room


def roles(requests: list[Request]) -> list[str]:
    return ["review" if is_review(each) else "chair" if is_chair(each) else "member" for each in requests]


def scripted(room: CouncilRoom, **special: Any) -> None:
    """Answer calls of the kinds `member`, `review` and `chair` specially.

    Each value is asked with the request first, and None stands for the usual answer.
    """

    def choose(request: Request) -> Any:
        (kind,) = roles([request])
        chosen = special.get(kind, lambda _: None)(request)
        return reply(request) if chosen is None else chosen

    room.provider._script.clear()
    room.provider.enqueue(*[choose] * 50)


def of_agent(request: Request) -> str:
    return next(key for key in MEMBERS if f"You are the {key}." in request.messages[0].text)
