"""The API function's application: one router per noun."""

from functions.api import agents, budget, export, history, sessions, status
from functions.http import create_app

app = create_app("Pantheon")
for noun in (status, agents, sessions, history, export, budget):
    app.include_router(noun.router)
