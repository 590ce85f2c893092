"""LangChain's ChatOpenAI, as lines of JSON. It has no list of models, and it drops what is not OpenAI's."""

from typing import Any

from langchain_openai import ChatOpenAI
from lines import ADDRESS, PATIENCE_S, serve


def ask(request: dict[str, Any]) -> dict[str, Any]:
    """Ask once. The SDK below LangChain sends the request again by itself."""
    model = ChatOpenAI(
        model=request["model"],
        base_url=ADDRESS,
        api_key=request["key"],
        timeout=PATIENCE_S,
        stream_usage=bool(request.get("include_usage")),
        default_headers=request.get("headers"),
    )
    if not request.get("stream"):
        return _read(model.invoke(request["messages"]))
    pieces = list(model.stream(request["messages"]))
    whole = pieces[0]
    for piece in pieces[1:]:
        whole += piece
    return {**_read(whole), "pieces": len(pieces)}


def _read(message: Any) -> dict[str, Any]:
    used, told = message.usage_metadata, message.response_metadata
    names = {"prompt_tokens": "input_tokens", "completion_tokens": "output_tokens", "total_tokens": "total_tokens"}
    return {
        "text": message.content,
        "finish_reason": told["finish_reason"],
        "model": told["model_name"],
        "usage": used and {name: used[theirs] for name, theirs in names.items()},
    }


serve(lambda _: [], ask)
