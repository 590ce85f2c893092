"""The API function's application: one router per noun."""

from fastapi.routing import APIRoute

from functions.api import agents, api_keys, budget, councils, events, export, history, sessions, status, usage
from functions.http import create_app
from shared.names import API_PREFIX

# Posting a turn is another function's.
_POST_TURN = APIRoute(f"{API_PREFIX}/sessions/{{session_id}}/turns", lambda: None, methods=["POST"])

app = create_app("Pantheon", elsewhere=[_POST_TURN])
# What is read most is matched first: a route that is not the path's still costs a comparison.
for noun in (history, events, sessions, agents, councils, status, export, budget, usage, api_keys):
    app.include_router(noun.router)
