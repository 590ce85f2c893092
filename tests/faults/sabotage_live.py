"""Takes guards of live turns out of a forked process."""

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
    """Tell a reply as completed as soon as it is answered."""

    def settled(live: LiveEvents, ask: Ask, attempt: Attempt) -> None:
        assert ask.agent is not None
        with live._lock:
            live._tell_completed(reply_of(ask.position, ask.agent, attempt))

    replaced(LiveEvents, settled=settled)


def ids_forgetful() -> None:
    """Leave the completed replies out of an event's id."""
    as_id = Progress.as_id
    replaced(Progress, as_id=lambda progress: as_id(progress).replace("c", ""))


def texts_kept() -> None:
    """Keep the text of an attempt that failed."""
    replaced(LiveEvents, unsaid=lambda _live, _ask: None)


def streams_trusted() -> None:
    """Ask an alias for streams even after a stream without a count."""
    replaced(Dialects, learn_for_good=lambda _dialects, _alias, _part: None)


def limits_whole() -> None:
    """Give a call its model's own timeout, however little time is left."""
    replaced(Asker, _limit=lambda _asker, _model, _pause_s=0.0: None)


def readers_awaited() -> None:
    """Let a turn wait for its reader before the next event."""
    put = Feed.put

    def put_(feed: Feed, item: Event | Delta) -> None:
        put(feed, item)
        while feed._waiting:
            time.sleep(0.001)

    replaced(Feed, put=put_)


def texts_hoarded() -> None:
    """Keep every piece of text until its reader takes it."""
    begin = Feed.__init__

    def begin_(feed: Feed) -> None:
        begin(feed, 2**40)

    replaced(Feed, __init__=begin_)


def uncounted_free() -> None:
    """Charge nothing for a stream that ends without a count."""
    complete = OpenAICompatibleProvider.complete

    def complete_(provider: OpenAICompatibleProvider, request: Request, on_text: OnText | None = None) -> Completion:
        completion = complete(provider, request, on_text)
        return replace(completion, status="unbilled") if completion.status == "unknown" else completion

    replaced(OpenAICompatibleProvider, complete=complete_)
