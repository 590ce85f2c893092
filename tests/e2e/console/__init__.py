"""The console in a real browser, against the local stack."""
