"""Lambda entry point of the operator's function."""

from functions.start import importing

with importing():
    from functions.admin.app import app
    from functions.http import lambda_handler

handler = lambda_handler(app)
