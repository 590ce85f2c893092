"""The ledger, added up and listed."""
