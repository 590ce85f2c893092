"""Score what summaries keep of the facts that are planted in three conversations.

    python -m bench.retention                       scripted summarisers, seven of which misbehave
    PANTHEON_LLM_BASE_URL=http://.../v1 python -m bench.retention --conversations 1

With PANTHEON_LLM_BASE_URL, or PANTHEON_LLM_PROVIDER set to local or bedrock, the alias of PANTHEON_SUMMARY_ALIAS
summarises. The columns:

- kept: items that the model added, and that are in memory or in the archive
- lost: items that were archived with room left, though nobody named their id
- held: planted facts that still hold, and are in memory
- over: planted facts that were changed or answered, and have left memory
- near-duplicates: items in memory that repeat other items
- then: items that left because there was no room, the fallbacks of both stages, and the characters in memory
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import astuple, dataclass
from pathlib import Path
from types import MappingProxyType
from uuid import uuid4

from bench.planted import PlantedConversation, conversations
from bench.summarisers import HABITS, ScriptedSummariser
from shared.catalog import Model
from shared.db.protocol import HISTORY_TURNS
from shared.domain.conversation import Conversation
from shared.domain.summary import LETTERS, LISTS, Summary
from shared.domain.turn import Fallback, Purpose
from shared.llm.port import Completion, Message, Provider, Request
from shared.llm.structured import parse
from shared.llm.tokens import TokenEstimates, token_estimates
from shared.names import Env
from shared.orchestration.reply_text import read_reply
from shared.summary.answer import Changes, read_id, short
from shared.summary.merge import same
from shared.summary.policy import SummaryPolicy
from shared.summary.summarise import STRUCTURE, TEXT, AskHelper, Summarised, summarise

Build = Callable[[int], tuple[Message, ...]]


@dataclass(frozen=True)
class Score:
    """Counts; see the columns above."""

    added: int
    kept: int
    lost: int
    current: int
    held: int
    ended: int
    over: int
    items: int
    near_duplicates: int
    no_room: int
    fallbacks: int
    characters: int

    def __add__(self, other: "Score") -> "Score":
        return Score(*map(sum, zip(astuple(self), astuple(other), strict=True)))


class Recorder:
    """Passes the questions of a summary on, and keeps the answers to the structure stage that can be read."""

    def __init__(self, ask: AskHelper) -> None:
        self._ask = ask
        self.answers: list[Changes] = []

    def __call__(
        self, purpose: Purpose, build: Build, schema: Mapping[str, object] | None = None
    ) -> tuple[int, Completion | str]:
        step, answer = self._ask(purpose, build, schema)
        if purpose == STRUCTURE and isinstance(answer, Completion):
            self.record(answer)
        return step, answer

    def record(self, answer: Completion) -> None:
        read, _ = parse(Changes, answer, STRUCTURE, 0)
        if read is not None:
            self.answers.append(read)


def summaries_of(talk: PlantedConversation, ask: AskHelper, policy: SummaryPolicy) -> list[Summarised]:
    """Every summary that its turns bring, each from the one before."""
    made: list[Summarised] = []
    for turn in talk.turns:
        history = tuple(talk.turns[max(0, turn.turn_index - 1 - HISTORY_TURNS) : turn.turn_index - 1])
        summary = made[-1].summary if made else None
        conversation = Conversation(MappingProxyType({}), history, turn.message, summary=summary)
        summarised = summarise(conversation, turn.turn_index, turn.replies, policy, ask)
        if summarised is not None:
            made.append(summarised)
    return made


def score(
    talk: PlantedConversation, answers: Sequence[Changes], made: Sequence[Summary], fallbacks: Sequence[Fallback]
) -> Score:
    """`answers` are what the model asked for; `made` the summaries that came of it, oldest first."""
    memory, archive = made[-1].items, [item for summary in made for item in summary.archive]
    added = {key for answer in answers for key in _added(answer)}
    stored = {(item.list, same(item.text)) for item in (*memory, *archive)}
    named = {read_id(closing.id) for answer in answers for closing in answer.close}
    named |= {read_id(replacement.id) for answer in answers for replacement in answer.replace}
    ended = [each for each in talk.planted if each.text in {other.ends for other in talk.planted}]
    current = [each for each in talk.planted if each not in ended]
    said = [{each.text for each in talk.planted if each.found_in(item)} for item in memory]
    return Score(
        added=len(added),
        kept=len(added & stored),
        lost=sum(item.reason != "no_room" and item.id not in named for item in archive),
        current=len(current),
        held=len({each.text for each in current} & set().union(*said)),
        ended=len(ended),
        over=len({each.text for each in ended} - set().union(*said)),
        items=len(memory),
        near_duplicates=sum(bool(texts) and texts <= set().union(*said[:n]) for n, texts in enumerate(said)),
        no_room=sum(item.reason == "no_room" for item in archive),
        fallbacks=len(fallbacks),
        characters=sum(len(item.text) for item in memory),
    )


def _added(answer: Changes) -> set[tuple[str, str]]:
    """The list and the text of all that an answer adds, replacements included."""
    lists = {letter: name for name, letter in LETTERS.items()}
    texts = [(name, text) for name in LISTS for text in getattr(answer.add, name)]
    texts += [(lists[id_[0]], each.text) for each in answer.replace if (id_ := read_id(each.id))]
    return {(name, key) for name, text in texts if (key := same(short(text)))}


def score_of(talk: PlantedConversation, ask: AskHelper, policy: SummaryPolicy) -> Score:
    recorder = Recorder(ask)
    made = summaries_of(talk, recorder, policy)
    fallbacks = [fallback for one in made for fallback in one.fallbacks]
    return score(talk, recorder.answers, [one.summary for one in made], fallbacks)


def asking_script(summariser: ScriptedSummariser, model: Model) -> AskHelper:
    def ask(
        purpose: Purpose,
        build: Build,
        schema: Mapping[str, object] | None = None,  # noqa: ARG001 a script needs none
    ) -> tuple[int, Completion | str]:
        messages = build(TokenEstimates().room(model, model.max_output_tokens))
        return 0, summariser.write(messages) if purpose == TEXT else summariser.extract(messages)

    return ask


def asking_model(provider: Provider, model: Model, max_output_tokens: int) -> AskHelper:
    def ask(
        purpose: Purpose,  # noqa: ARG001 the prompt says it
        build: Build,
        schema: Mapping[str, object] | None = None,
    ) -> tuple[int, Completion | str]:
        messages = build(token_estimates().room(model, max_output_tokens))
        request = Request(str(uuid4()), str(uuid4()), model, messages, max_output_tokens, 0.0, schema)
        answer = read_reply(provider.complete(request), None)
        if answer.error or not answer.text.strip():
            return 0, answer.error or "empty_reply"
        return 0, answer

    return ask


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=len(conversations()), help="the first so many (all)")
    talks = conversations()[: parser.parse_args().conversations]
    columns = ("kept", "lost", "held", "over", "near-dup.", "no room", "fallbacks", "characters")
    with ExitStack() as resources:
        scorers = _scorers(resources)
        print(f"{'':12}", *(f"{column:>10}" for column in columns))
        for name, scorer in scorers.items():
            scores = [scorer(talk) for talk in talks]
            _report(name, sum(scores[1:], scores[0]))


def _scorers(resources: ExitStack) -> Mapping[str, Callable[[PlantedConversation], Score]]:
    """One for each summariser that there is in this environment, by its name."""
    if not os.environ.get(Env.LLM_PROVIDER):
        os.environ[Env.LLM_PROVIDER] = "openai" if os.environ.get(Env.LLM_BASE_URL) else "scripted"
    os.environ |= dict.fromkeys((Env.APP_DATABASE_URL, Env.JWT_ISSUER, Env.JWT_AUDIENCE), "bench")
    if os.environ[Env.LLM_PROVIDER] == "local" and not os.environ.get(Env.LLM_BASE_URL):
        from local import model as local_model

        folder = Path(resources.enter_context(tempfile.TemporaryDirectory()))
        started = resources.enter_context(local_model.start(folder / "model.log"))
        os.environ |= {Env.LOCAL_MODEL_URL: started.base_url, Env.LOCAL_MODEL_KEY: started.api_key}
    from shared.catalog import catalog
    from shared.llm.providers import provider
    from shared.settings import settings
    from shared.turns.policies import summary_policy

    model = catalog()[settings().summary_alias]
    policy = SummaryPolicy(summary_policy().max_output_tokens, settings().summary_after_turns)
    if settings().llm_provider == "scripted":

        def of_script(habit: str) -> Callable[[PlantedConversation], Score]:
            return lambda talk: score_of(talk, asking_script(ScriptedSummariser(talk, habit), model), policy)

        return {habit: of_script(habit) for habit in HABITS}
    ask = asking_model(provider(), model, min(policy.max_output_tokens, model.max_output_tokens))
    return {model.alias: lambda talk: score_of(talk, ask, policy)}


def _report(name: str, scored: Score) -> None:
    columns = (
        f"{scored.kept}/{scored.added}",
        scored.lost,
        f"{scored.held}/{scored.current}",
        f"{scored.over}/{scored.ended}",
        f"{scored.near_duplicates}/{scored.items}",
        scored.no_room,
        scored.fallbacks,
        scored.characters,
    )
    print(f"{name:12}", *(f"{column!s:>10}" for column in columns), flush=True)


if __name__ == "__main__":
    main()
