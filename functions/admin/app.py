"""The operator's application: one router per noun.

The rule this file protects: whoever is not an operator gets nothing here, on any route. It works across tenants in the
operator's database role, and no other function does that over HTTP.
"""

from fastapi import Depends

from functions.admin import caps, platform, usage
from functions.http import create_app
from functions.requests import operator

app = create_app("Pantheon operations")
for noun in (caps, platform, usage):
    app.include_router(noun.router, dependencies=[Depends(operator)])
