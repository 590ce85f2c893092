"""Send a request, and read the answer as the journal keeps it and as the turn's audience hears it."""

from dataclasses import replace

from shared.domain.agent import Agent
from shared.domain.turn import SIZE_LIMIT
from shared.llm.port import Completion, Provider, Request, cut, is_visible, storable
from shared.orchestration.reply_stream import ReplyStream, habits
from shared.orchestration.reply_text import read_reply
from shared.orchestration.steps import Ask, Audience


def send(provider: Provider, ask: Ask, request: Request, audience: Audience | None, tenant_id: str) -> Completion:
    """Send the request once. An agent's answer is streamed to the audience."""
    if audience is None or ask.speaker is None:
        return _kept(read_reply(provider.complete(request), ask.speaker))
    return _streamed(provider, ask, ask.speaker, request, audience, tenant_id)


def _kept(completion: Completion) -> Completion:
    """The completion with the text that the journal keeps and that the next agent is sent."""
    whole = storable(completion.text)
    text = cut(whole)
    if text == completion.text:
        return completion
    # A withheld answer stays one, however long its beginning is.
    was_cut = text != whole and completion.stop_reason != "content_filtered"
    return replace(completion, text=text, stop_reason=SIZE_LIMIT if was_cut else completion.stop_reason)


def _streamed(
    provider: Provider, ask: Ask, agent: Agent, request: Request, audience: Audience, tenant_id: str
) -> Completion:
    """Send the request, and let the audience hear the reply while it comes."""
    alias = request.model.alias
    stream = ReplyStream(agent, held=habits().is_surprising(tenant_id, alias))

    def hear(piece: str) -> None:
        if said := stream.hear(piece):
            audience.said(ask, said)

    completion = _kept(read_reply(provider.complete(request, hear), agent))
    if error_of(completion) is not None:
        if stream.has_told:
            audience.unsaid(ask)
        return completion
    rest = stream.rest(completion.text)
    if rest is None:
        habits().learn(tenant_id, alias)
        audience.unsaid(ask)
        audience.repeated(ask, request)
        rest = completion.text
    if rest:
        audience.said(ask, rest)
    return completion


def error_of(completion: Completion) -> str | None:
    """The error of an outcome, None if it is an answer."""
    if completion.error is not None:
        return completion.error
    if completion.stop_reason == "content_filtered":
        return "content_filtered"
    return None if is_visible(completion.text) else "empty_reply"
