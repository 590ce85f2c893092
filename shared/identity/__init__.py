"""Verify tokens: the issuer's keys, and the claims of a token that one of them signed."""
