"""Runs OpenAI's SDK for Python behind lines of JSON."""

from typing import Any

from lines import ADDRESS, PATIENCE_S, serve
from openai import OpenAI

CLIENT = OpenAI(base_url=ADDRESS, api_key="of-each-request", timeout=PATIENCE_S)


def ask(request: dict[str, Any]) -> dict[str, Any]:
    """Ask once. The SDK sends the request again by itself."""
    client = CLIENT.with_options(api_key=request["key"])
    given = {"model": request["model"], "messages": request["messages"], "extra_headers": request.get("headers")}
    given["extra_body"] = request.get("body")
    if not request.get("stream"):
        answer = client.chat.completions.create(**given).model_dump()
        (choice,) = answer["choices"]
        told = {name: answer[name] for name in ("id", "model", "usage", "pantheon")}
        return {**told, "text": choice["message"]["content"], "finish_reason": choice["finish_reason"], "reasoning": ""}
    options = {"stream_options": {"include_usage": True}} if request.get("include_usage") else {}
    read: dict[str, Any] = {"text": "", "reasoning": "", "usage": None, "pieces": 0}
    for chunk in client.chat.completions.create(**given, stream=True, **options):
        told = chunk.model_dump()
        read |= {"id": told["id"], "model": told["model"], "usage": told["usage"] or read["usage"]}
        read["pantheon"] = told.get("pantheon", read.get("pantheon"))
        for choice in told["choices"]:
            read["text"] += choice["delta"]["content"] or ""
            read["reasoning"] += choice["delta"].get("reasoning_content") or ""
            read["finish_reason"] = choice["finish_reason"] or read.get("finish_reason")
            read["pieces"] += 1
    return read


serve(lambda key: [model.id for model in CLIENT.with_options(api_key=key).models.list()], ask)
