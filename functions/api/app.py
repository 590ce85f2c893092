"""The API function's application: one router per noun."""

from functions.api import agents, budget, export, history, sessions, status, usage
from functions.http import create_app

app = create_app("Pantheon")
for noun in (status, agents, sessions, history, export, budget, usage):
    app.include_router(noun.router)
