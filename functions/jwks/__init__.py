"""Copies the issuer's keys to where the authorizer reads them."""
