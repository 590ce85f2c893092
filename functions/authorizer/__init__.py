"""The authorizer: it decides for every route who is calling."""
