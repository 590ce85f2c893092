"""Lambda entry point of the operator's function."""

from functions.admin.app import app
from functions.http import lambda_handler

handler = lambda_handler(app)
