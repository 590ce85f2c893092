"""A conversation of the retention gate through whole turns: what is stored is what was kept, and each summary was made
from what the one before it had stored."""

import pytest

from bench.bad_summariser import BadSummariser
from bench.planted import conversations
from bench.retention import score
from shared.domain.summary import LISTS, Structure, Summary
from shared.llm.port import Completion, Request
from shared.llm.scripted import ScriptedProvider
from shared.summary.pipeline import Summarised
from tests.council_room import CouncilRoom, body, unbilled
from tests.model_answers import HELPERS

TALKS = {talk.name: talk for talk in conversations()}


class Talking(ScriptedProvider):
    """Agents say what they say in the conversation, and the summariser what a bad one would."""

    def __init__(self, summariser: BadSummariser) -> None:
        super().__init__()
        self._summariser = summariser
        turns = summariser.conversation.turns
        self._replies = iter(["\n".join(said.text for said in turn.replies) for turn in turns])

    def complete(self, request: Request) -> Completion:
        self.requests.append(request)
        for helper, answer in (
            ("summary_text", self._summariser.write),
            ("summary_structure", self._summariser.extract),
        ):
            if request.messages[0].text.startswith(HELPERS[helper]):
                said = answer(request.messages)
                return said if isinstance(said, Completion) else unbilled("refused")
        return Completion("succeeded", next(self._replies), "end_turn")


@pytest.mark.parametrize("name", ["festival", "menu"])
def test_what_was_extracted_in_48_turns_is_stored(room: CouncilRoom, name: str) -> None:
    summariser = BadSummariser(TALKS[name])
    runner = room.runner(provider=Talking(summariser))
    turns = [body(room.take(turn.message, runner=runner)) for turn in TALKS[name].turns]
    assert [turn["summary_triggered"] for turn in turns] == ([False] * 11 + [True]) * 4
    made = [
        Summarised(
            Summary(
                row["through_turn_index"],
                row["text"],
                Structure(**{key: tuple(row[key]) for key in LISTS}),
                Structure(**{key: tuple(row["archived"][key]) for key in LISTS}),
            )
        )
        for row in room.rows("SELECT * FROM summaries ORDER BY through_turn_index")
    ]
    told = [each for each in TALKS[name].planted if each.id in summariser.told]
    scored = score(told, made, summariser.identify, summariser.over)
    assert scored.kept == scored.planted > 5
    assert scored.held == scored.current > 5
    assert (scored.newest, scored.closed) == (scored.changed, scored.answered)
    assert scored.twice <= 0.05 * scored.items
