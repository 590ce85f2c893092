"""Tests a planted conversation in whole turns: kept items are stored, and each summary continues the stored one."""

import pytest

from bench.planted import conversations
from bench.retention import Recorder, asking_script, score
from bench.summarisers import ScriptedSummariser
from shared.domain.summary import Archived, Summary, stored_items
from shared.llm.port import Completion, OnText, Request
from shared.llm.scripted import ScriptedProvider
from tests.support.council_room import CouncilRoom, body
from tests.support.model_answers import HELPERS
from tests.unit.test_council import CATALOG

TALKS = {talk.name: talk for talk in conversations()}


class Talking(ScriptedProvider):
    """The agents repeat the conversation, and the summariser follows its script."""

    def __init__(self, summariser: ScriptedSummariser) -> None:
        super().__init__()
        self._summariser = summariser
        turns = summariser.conversation.turns
        self._replies = iter(["\n".join(said.text for said in turn.replies) for turn in turns])
        self.recorder = Recorder(asking_script(summariser, CATALOG["fast"]))

    def complete(self, request: Request, _on_text: OnText | None = None) -> Completion:
        self.requests.append(request)
        if request.messages[0].text.startswith(HELPERS["summary_text"]):
            return self._summariser.write(request.messages)
        if request.messages[0].text.startswith(HELPERS["summary_structure"]):
            answer = self._summariser.extract(request.messages)
            self.recorder.record(answer)
            return answer
        return Completion("succeeded", next(self._replies), "end_turn")


@pytest.mark.parametrize(
    ("name", "habit"), [("English", "honest"), ("German", "wrong ids"), ("Japanese", "contradicts")]
)
def test_summaries_store_the_items_of_48_turns(room: CouncilRoom, name: str, habit: str) -> None:
    talk = TALKS[name]
    provider = Talking(ScriptedSummariser(talk, habit))
    runner = room.runner(provider=provider)
    turns = [body(room.take(turn.message, runner=runner)) for turn in talk.turns]
    assert [turn["summary_triggered"] for turn in turns] == ([False] * 11 + [True]) * 4
    made = [
        Summary(
            row["through_turn_index"], row["text"], *stored_items(row), tuple(Archived(**i) for i in row["archive"])
        )
        for row in room.rows("SELECT * FROM summaries ORDER BY through_turn_index")
    ]
    result = score(talk, provider.recorder.answers, made, [])
    assert result.kept == result.added > 20
    assert result.lost == 0
    assert habit != "honest" or (result.held, result.over) == (result.current, result.ended)
