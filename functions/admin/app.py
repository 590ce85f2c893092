"""The operator's application: one router for each noun.

Every route requires the operator's role and works across tenants as `pantheon_operator`. No other HTTP function works
across tenants.
"""

from fastapi import Depends

from functions.admin import caps, platform, usage, waiting
from functions.http import create_app
from functions.requests import operator

app = create_app("Pantheon operations")
for noun in (caps, platform, usage, waiting):
    app.include_router(noun.router, dependencies=[Depends(operator)])
