"""The operator's application: one router per noun.

Every route requires the operator's role. The routes work across tenants, in the operator's database role. No other
function does that over HTTP.
"""

from fastapi import Depends

from functions.admin import caps, platform, usage, waiting
from functions.http import create_app
from functions.requests import operator

app = create_app("Pantheon operations")
for noun in (caps, platform, usage, waiting):
    app.include_router(noun.router, dependencies=[Depends(operator)])
