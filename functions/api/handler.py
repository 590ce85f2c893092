"""Lambda entry point of the API function."""

from functions.start import importing

with importing():
    from functions.api.app import app
    from functions.http import lambda_handler

handler = lambda_handler(app)
