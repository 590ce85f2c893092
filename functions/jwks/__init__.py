"""The function that copies the issuer's keys to the bucket that the authorizer reads."""
