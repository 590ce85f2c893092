"""What summaries keep: planted facts, decisions, questions and tasks of ten conversations of 48 turns.

    python -m bench.retention                       a scripted summariser that is as bad as real ones
    PANTHEON_LLM_BASE_URL=http://.../v1 python -m bench.retention --conversations 3

With PANTHEON_LLM_BASE_URL, or PANTHEON_LLM_PROVIDER set to local or bedrock, the alias of PANTHEON_SUMMARY_ALIAS
summarises. Columns: of what was planted, how much is in memory or in an archive (kept), and how much of what still
holds is in memory (held); how many of the items in memory say what another one says (twice); of the things that
changed, how many stand with their newest value alone (newest); of the questions that were answered, how many are
closed; the fallbacks of both stages, and the characters of the structure.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType
from uuid import uuid4

from bench.bad_summariser import BadSummariser
from bench.planted import Planted, PlantedConversation, conversations
from shared.catalog import Model
from shared.db.protocol import HISTORY_TURNS
from shared.domain.conversation import Conversation
from shared.domain.summary import LISTS, Structure, Summary
from shared.domain.turn import Purpose
from shared.llm.port import Completion, Message, Provider, Request
from shared.llm.tokens import TokenEstimates, token_estimates
from shared.names import Env
from shared.summary.pipeline import TEXT, AskHelper, Summarised, summarise
from shared.summary.policy import SummaryPolicy

Identify = Callable[[str], set[str]]
Build = Callable[[int], tuple[Message, ...]]


@dataclass(frozen=True)
class Score:
    """Counts. `planted` is what could be kept, `current` what of it still holds, `changed` and `answered` what a
    later turn ended."""

    planted: int
    kept: int
    current: int
    held: int
    items: int
    twice: int
    changed: int
    newest: int
    answered: int
    closed: int
    fallbacks: int
    characters: int

    def __add__(self, other: "Score") -> "Score":
        return Score(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


def summaries_of(talk: PlantedConversation, ask: AskHelper, policy: SummaryPolicy) -> list[Summarised]:
    """Every summary that its turns bring, each from the one before, as a turn loads and writes them."""
    made: list[Summarised] = []
    for turn in talk.turns:
        history = tuple(talk.turns[max(0, turn.turn_index - 1 - HISTORY_TURNS) : turn.turn_index - 1])
        conversation = Conversation(MappingProxyType({}), history, turn.message, summary=_loaded(made, turn.turn_index))
        summarised = summarise(conversation, turn.turn_index, turn.replies, policy, ask)
        if summarised is not None:
            made.append(summarised)
    return made


def _loaded(made: Sequence[Summarised], turn_index: int) -> Summary | None:
    """The newest summary with what left memory lately."""
    if not made:
        return None
    recent = [one.summary for one in made if one.summary.through_turn_index >= turn_index - HISTORY_TURNS]
    left = {name: tuple(item for one in recent for item in getattr(one.archived, name)) for name in LISTS}
    return replace(made[-1].summary, archived=Structure(**left))


def all_items(structure: Structure) -> list[str]:
    return [item for name in LISTS for item in getattr(structure, name)]


def score(
    planted: Iterable[Planted], made: Sequence[Summarised], identify: Identify, over: set[str] | None = None
) -> Score:
    """`over` are those of the ended ones that must have left memory; by default all of them."""
    by_id = {each.id: each for each in planted}
    structure = made[-1].summary.structure
    said = [identify(item) for item in all_items(structure)]
    held = set().union(*said)
    archived = set().union(*(identify(item) for one in made for item in all_items(one.summary.archived)))
    ended = {old: each.id for each in by_id.values() for old in each.ends if old in by_id}
    gone = {old: new for old, new in ended.items() if over is None or old in over}
    changed = {old: new for old, new in gone.items() if by_id[old].list in ("key_facts", "decisions")}
    answered = {old for old in gone if by_id[old].list == "open_questions"}
    seen: set[str] = set()
    twice = 0
    for ids in said:
        twice += bool(ids) and ids <= seen
        seen |= ids
    return Score(
        planted=len(by_id),
        kept=len(by_id.keys() & (held | archived)),
        current=len(by_id.keys() - ended.keys()),
        held=len((by_id.keys() - ended.keys()) & held),
        items=len(said),
        twice=twice,
        changed=len(changed),
        newest=sum(new in held and old not in held for old, new in changed.items()),
        answered=len(answered),
        closed=len(answered - held),
        fallbacks=sum(len(one.fallbacks) for one in made),
        characters=sum(map(len, all_items(structure))),
    )


def score_script(talk: PlantedConversation, policy: SummaryPolicy, model: Model, seed: int = 0) -> Score:
    """Of the scripted summariser: only what it has told counts as planted, and as ended what it has told to be."""
    summariser = BadSummariser(talk, seed)
    made = summaries_of(talk, asking_script(summariser, model), policy)
    told = [each for each in talk.planted if each.id in summariser.told]
    return score(told, made, summariser.identify, summariser.over)


def asking_script(summariser: BadSummariser, model: Model) -> AskHelper:
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
        answer = provider.complete(Request(str(uuid4()), str(uuid4()), model, messages, max_output_tokens, 0.0, schema))
        if answer.error or not answer.text.strip():
            return 0, answer.error or "empty_reply"
        return 0, answer

    return ask


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=len(conversations()), help="the first so many (all)")
    talks = conversations()[: parser.parse_args().conversations]
    with ExitStack() as resources:
        scorer = _scorer(resources)
        print(
            f"{'':10} {'kept':>8} {'held':>8} {'twice':>8} {'newest':>8} {'closed':>8} {'fallbacks':>10} {'chars':>6}"
        )
        scores = [_report(talk.name, scorer(talk)) for talk in talks]
        _report("together", sum(scores[1:], scores[0]))


def _scorer(resources: ExitStack) -> Callable[[PlantedConversation], Score]:
    """For whatever summarises in this environment."""
    if not os.environ.get(Env.LLM_PROVIDER):
        os.environ[Env.LLM_PROVIDER] = "openai" if os.environ.get(Env.LLM_BASE_URL) else "scripted"
    os.environ |= dict.fromkeys((Env.APP_DATABASE_URL, Env.JWT_ISSUER, Env.JWT_AUDIENCE), "bench")
    if os.environ[Env.LLM_PROVIDER] == "local" and not os.environ.get(Env.LLM_BASE_URL):
        from local import model as local_model

        folder = Path(resources.enter_context(tempfile.TemporaryDirectory()))
        os.environ[Env.LLM_BASE_URL] = resources.enter_context(local_model.start(folder / "model.log")).base_url
    from shared.catalog import catalog
    from shared.llm.providers import provider
    from shared.settings import settings

    model = catalog()[settings().summary_alias]
    policy = SummaryPolicy(settings().summary_max_tokens, settings().summary_after_turns)
    if settings().llm_provider == "scripted":
        return lambda talk: score_script(talk, policy, model)
    ask = asking_model(provider(), model, min(policy.max_output_tokens, model.max_output_tokens))

    def of_model(talk: PlantedConversation) -> Score:
        made = summaries_of(talk, ask, policy)
        return score(talk.planted, made, lambda item: {each.id for each in talk.planted if each.found_in(item)})

    return of_model


def _report(name: str, scored: Score) -> Score:
    shares = [
        f"{part:>3}/{whole:<4}"
        for part, whole in (
            (scored.kept, scored.planted),
            (scored.held, scored.current),
            (scored.twice, scored.items),
            (scored.newest, scored.changed),
            (scored.closed, scored.answered),
        )
    ]
    print(f"{name:10} {' '.join(shares)} {scored.fallbacks:>10} {scored.characters:>6}", flush=True)
    return scored


if __name__ == "__main__":
    main()
