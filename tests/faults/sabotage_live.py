"""Guards of live turns, each taken out of a forked process on purpose."""

import time
from dataclasses import replace

from functions.turns.feed import Feed
from shared.domain.turn_events import Delta, Event, Progress
from shared.llm.dialects import Dialects
from shared.llm.openai_compatible import OpenAICompatibleProvider
from shared.llm.port import Completion, OnText, Request
from shared.orchestration.attempts import Asker
from shared.orchestration.replies import reply_of
from shared.orchestration.steps import Ask, Attempt
from shared.turns.live_events import LiveEvents
from tests.faults.replaced import replaced


def told_unstored() -> None:
    """A reply is told as completed as soon as it is answered."""

    def settled(live: LiveEvents, ask: Ask, attempt: Attempt) -> None:
        assert ask.agent is not None
        with live._lock:
            live._tell_completed(reply_of(ask.position, ask.agent, attempt))

    replaced(LiveEvents, settled=settled)


def ids_forgetful() -> None:
    """The id of an event does not say which replies were completed."""
    as_id = Progress.as_id
    replaced(Progress, as_id=lambda progress: as_id(progress).replace("c", ""))


def texts_kept() -> None:
    """The text of an attempt that failed is not taken back."""
    replaced(LiveEvents, unsaid=lambda _live, _ask: None)


def streams_trusted() -> None:
    """An alias whose stream had no count is asked for streams all the same."""
    replaced(Dialects, learn_for_good=lambda _dialects, _alias, _part: None)


def limits_whole() -> None:
    """A call takes its model's own time, however little is left."""
    replaced(Asker, _limit=lambda _asker, _model, _pause_s=0.0: None)


def readers_awaited() -> None:
    """A turn waits for its reader before it tells the next event."""
    put = Feed.put

    def put_(feed: Feed, item: Event | Delta) -> None:
        put(feed, item)
        while feed._waiting:
            time.sleep(0.001)

    replaced(Feed, put=put_)


def texts_hoarded() -> None:
    """Every piece of text is kept until its reader takes it."""
    begin = Feed.__init__

    def begin_(feed: Feed) -> None:
        begin(feed, 2**40)

    replaced(Feed, __init__=begin_)


def uncounted_free() -> None:
    """A stream that ends without a count costs nothing."""
    complete = OpenAICompatibleProvider.complete

    def complete_(provider: OpenAICompatibleProvider, request: Request, on_text: OnText | None = None) -> Completion:
        completion = complete(provider, request, on_text)
        return replace(completion, status="unbilled") if completion.status == "unknown" else completion

    replaced(OpenAICompatibleProvider, complete=complete_)
