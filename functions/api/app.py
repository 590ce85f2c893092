"""The API function's application, with one router for each resource."""

from fastapi.routing import APIRoute

from functions.api import (
    agents,
    api_keys,
    budget,
    console_pages,
    councils,
    docs_pages,
    events,
    export,
    history,
    openai_models,
    sessions,
    status,
    usage,
)
from functions.http import create_app
from shared.names import API_PREFIX

# The turns function answers these.
_ASKING = (f"{API_PREFIX}/sessions/{{session_id}}/turns", "/v1/chat/completions")

app = create_app("Pantheon", elsewhere=[APIRoute(path, lambda: None, methods=["POST"]) for path in _ASKING])
# The most frequent routes come first, because routes are compared in this order.
for noun in (
    history,
    events,
    sessions,
    agents,
    councils,
    status,
    export,
    budget,
    usage,
    api_keys,
    openai_models,
    console_pages,
    docs_pages,
):
    app.include_router(noun.router)
